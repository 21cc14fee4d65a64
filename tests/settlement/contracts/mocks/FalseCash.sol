// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Cash that says "false" instead of failing, and moves nothing.
contract FalseCash {
    mapping(address => uint256) public balanceOf;

    function transferFrom(address, address, uint256) external pure returns (bool) {
        return false;
    }

    function transfer(address, uint256) external pure returns (bool) {
        return false;
    }
}
