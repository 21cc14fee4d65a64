// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Running sums in memory, for the loop over the fills
/// @dev No bounds are checked and nothing is checked for overflow: the caller has checked every index, and widths of
///      a packed fill bound the sums far below 2^255.
library Tally {
    /// @notice sums[index] += value
    function add(int256[] memory sums, uint256 index, int256 value) internal pure {
        assembly ("memory-safe") {
            let where := add(add(sums, 0x20), shl(5, index))
            mstore(where, add(mload(where), value))
        }
    }

    /// @notice used[index] = lots u64 | last match time << 64, with these lots and this match time added
    function use(uint256[] memory used, uint256 index, uint256 lots, uint256 matchTime) internal pure {
        assembly ("memory-safe") {
            let where := add(add(used, 0x20), shl(5, index))
            let before := mload(where)
            let sum := add(and(before, 0xffffffffffffffff), lots)
            let last := shr(64, before)
            if gt(matchTime, last) { last := matchTime }
            mstore(where, or(sum, shl(64, last)))
        }
    }
}
