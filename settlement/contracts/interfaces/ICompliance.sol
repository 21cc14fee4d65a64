// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Rules of a tranche over transfers (ERC-3643's ICompliance)
interface ICompliance {
    event TokenBound(address token);
    event TokenUnbound(address token);

    function bindToken(address token) external;
    function unbindToken(address token) external;
    function transferred(address from, address to, uint256 amount) external;
    function created(address to, uint256 amount) external;
    function destroyed(address from, uint256 amount) external;
    function isTokenBound(address token) external view returns (bool);
    function getTokenBound() external view returns (address);
    function canTransfer(address from, address to, uint256 amount) external view returns (bool);
}
