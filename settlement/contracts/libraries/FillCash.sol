// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The cash of a fill: the one rounding rule, the same as `engine/money.py`
library FillCash {
    uint256 private constant E9 = 1e9;
    uint256 private constant E18 = 1e18;

    /// @notice round half up of lots * (priceTicks * tickValueE9 * factorE9 + accruedE9PerLot * 1e9) / 1e18
    /// @dev Cannot overflow for the widths of a packed fill (48, 40 bits) and of terms (64 bits each).
    /// @param tickValueE18 tickValueE9 * factorE9: what a tick of one lot is worth, 1e-18 of a minor unit
    function amountMinor(uint256 lots, uint256 priceTicks, uint256 tickValueE18, uint256 accruedE9PerLot)
        internal
        pure
        returns (uint256)
    {
        unchecked {
            return (lots * (priceTicks * tickValueE18 + accruedE9PerLot * E9) + E18 / 2) / E18;
        }
    }
}
