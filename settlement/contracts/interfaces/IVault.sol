// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What the DvP contract asks of the vault
interface IVault {
    /// @notice Moves entries by net amounts that sum to zero; only the DvP contract may call.
    function settle(address cashToken, address[] calldata accounts, int256[] calldata deltas) external;
}
