// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice One fill in one word, from the most significant bit: fillNumber u40 | buyOrder u16 | sellOrder u16 | lots
///         u48 | priceTicks u40 | matchTime u40 (unix seconds) | termsId u16 | zero u40. The orders are indices into
///         the orders of the batch. `engine/settlement_batch.py` packs it.
type PackedFill is uint256;

using PackedFillLib for PackedFill global;

/// @title Reading a packed fill
library PackedFillLib {
    uint256 internal constant BYTES = 32;

    /// @dev From memory, because the optimizer would read calldata anew for every field of the fill.
    function load(bytes memory fills, uint256 index) internal pure returns (PackedFill fill) {
        assembly ("memory-safe") {
            fill := mload(add(add(fills, 0x20), shl(5, index)))
        }
    }

    function number(PackedFill fill) internal pure returns (uint256) {
        return PackedFill.unwrap(fill) >> 216;
    }

    function buyOrder(PackedFill fill) internal pure returns (uint256) {
        return (PackedFill.unwrap(fill) >> 200) & type(uint16).max;
    }

    function sellOrder(PackedFill fill) internal pure returns (uint256) {
        return (PackedFill.unwrap(fill) >> 184) & type(uint16).max;
    }

    function lots(PackedFill fill) internal pure returns (uint256) {
        return (PackedFill.unwrap(fill) >> 136) & type(uint48).max;
    }

    function priceTicks(PackedFill fill) internal pure returns (uint256) {
        return (PackedFill.unwrap(fill) >> 96) & type(uint40).max;
    }

    function matchTime(PackedFill fill) internal pure returns (uint256) {
        return (PackedFill.unwrap(fill) >> 56) & type(uint40).max;
    }

    function termsId(PackedFill fill) internal pure returns (uint256) {
        return (PackedFill.unwrap(fill) >> 40) & type(uint16).max;
    }

    /// @notice The bits that have no meaning yet and must be zero.
    function rest(PackedFill fill) internal pure returns (uint256) {
        return PackedFill.unwrap(fill) & type(uint40).max;
    }
}
