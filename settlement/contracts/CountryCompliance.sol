// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICompliance} from "./interfaces/ICompliance.sol";
import {IIdentityRegistry} from "./interfaces/IIdentityRegistry.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

/// @title The least rule a tranche may have: receivers of blocked countries are refused
/// @notice Countries are ISO 3166-1 numeric codes, as in the identity registry.
contract CountryCompliance is ICompliance, Ownable2Step {
    event CountryBlocked(uint16 indexed country, bool blocked);

    error TokenAlreadyBound(address token);
    error NotTheToken(address caller);

    IIdentityRegistry public immutable registry;
    address private _token;
    mapping(uint16 country => bool) public isBlocked;

    constructor(address initialOwner, IIdentityRegistry registry_) Ownable(initialOwner) {
        registry = registry_;
    }

    modifier onlyToken() {
        if (msg.sender != _token) revert NotTheToken(msg.sender);
        _;
    }

    /// @notice Receivers of `country` are refused from here on, or no longer. Owner only; CountryBlocked.
    function setCountryBlocked(uint16 country, bool blocked) external onlyOwner {
        isBlocked[country] = blocked;
        emit CountryBlocked(country, blocked);
    }

    /// @notice Binds the one token; the owner or the token itself may call. TokenBound.
    function bindToken(address token) external {
        if (msg.sender != owner() && msg.sender != token) revert NotTheToken(msg.sender);
        if (_token != address(0)) revert TokenAlreadyBound(_token);
        _token = token;
        emit TokenBound(token);
    }

    /// @notice The owner or the token itself may call. TokenUnbound.
    function unbindToken(address token) external {
        if (msg.sender != owner() && msg.sender != token) revert NotTheToken(msg.sender);
        if (_token != token) revert NotTheToken(token);
        _token = address(0);
        emit TokenUnbound(token);
    }

    /// @inheritdoc ICompliance
    function transferred(address, address, uint256) external view onlyToken {}

    /// @inheritdoc ICompliance
    function created(address, uint256) external view onlyToken {}

    /// @inheritdoc ICompliance
    function destroyed(address, uint256) external view onlyToken {}

    /// @inheritdoc ICompliance
    function isTokenBound(address token) external view returns (bool) {
        return token == _token && token != address(0);
    }

    /// @inheritdoc ICompliance
    function getTokenBound() external view returns (address) {
        return _token;
    }

    /// @inheritdoc ICompliance
    function canTransfer(address, address to, uint256) external view returns (bool) {
        return !isBlocked[registry.investorCountry(to)];
    }
}
