// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Orders as they lie in the calldata of a batch, 120 bytes each, big-endian
/// @notice participant u16 | side u8 | kind u8 | nonce u64 | version u32 | validUntil u64 | quantityLots u64
///         | limitPriceTicks u64 | cashLimitPerLot u64 | feeLimit u64 | r b32 | s with the parity of v in its top bit
///         b32 (EIP-2098). `participant` is an index into the batch's accounts; tranche and cash token are the
///         batch's.
/// @dev Positions are those of calldata; the caller guarantees that they lie within the bytes. Loops read an order's
///      `head` and `limits` once each and take the fields out of them.
library PackedOrders {
    uint256 internal constant BYTES = 120;
    uint8 internal constant BUY = 1;
    uint8 internal constant SELL = 2;
    uint8 internal constant ONCE = 0;
    uint8 internal constant STANDING = 1;

    /// keccak256 of the EIP-712 type, see `engine/signed_order.py`
    bytes32 internal constant TYPE_HASH = keccak256(
        "Order(address account,address trancheToken,address cashToken,uint8 side,uint8 kind,"
        "uint64 quantityLots,uint64 limitPriceTicks,uint128 cashLimitPerLot,uint128 feeLimit,"
        "uint64 validUntil,uint64 nonce,uint32 version)"
    );

    function positionOf(bytes calldata orders, uint256 index) internal pure returns (uint256 position) {
        assembly ("memory-safe") {
            position := add(orders.offset, mul(index, BYTES))
        }
    }

    /// @notice The first 32 bytes of an order: all fields up to `quantityLots`.
    function head(uint256 position) internal pure returns (uint256) {
        return _word(position);
    }

    function participant(uint256 head_) internal pure returns (uint256) {
        return head_ >> 240;
    }

    function side(uint256 head_) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := byte(2, head_)
        }
    }

    function kind(uint256 head_) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := byte(3, head_)
        }
    }

    function nonce(uint256 head_) internal pure returns (uint256) {
        return (head_ >> 160) & type(uint64).max;
    }

    function version(uint256 head_) internal pure returns (uint256) {
        return (head_ >> 128) & type(uint32).max;
    }

    function validUntil(uint256 head_) internal pure returns (uint256) {
        return (head_ >> 64) & type(uint64).max;
    }

    function quantityLots(uint256 head_) internal pure returns (uint256) {
        return head_ & type(uint64).max;
    }

    /// @notice limitPriceTicks u64 | cashLimitPerLot u64 | feeLimit u64 | 64 bits of the signature
    function limits(uint256 position) internal pure returns (uint256) {
        unchecked {
            return _word(position + 32);
        }
    }

    function signature(uint256 position) internal pure returns (bytes32 r, bytes32 vs) {
        unchecked {
            return (bytes32(_word(position + 56)), bytes32(_word(position + 88)));
        }
    }

    /// @notice `hashStruct` of the order under EIP-712.
    /// @dev Writes the encoding behind the free memory pointer without taking that memory.
    function structHash(uint256 position, address account, address trancheToken, address cashToken)
        internal
        pure
        returns (bytes32 hash)
    {
        bytes32 typeHash = TYPE_HASH;
        assembly ("memory-safe") {
            let u64 := 0xffffffffffffffff
            let front := calldataload(position)
            let bounds := calldataload(add(position, 32))
            let m := mload(0x40)
            mstore(m, typeHash)
            mstore(add(m, 0x20), account)
            mstore(add(m, 0x40), trancheToken)
            mstore(add(m, 0x60), cashToken)
            mstore(add(m, 0x80), byte(2, front)) // side
            mstore(add(m, 0xa0), byte(3, front)) // kind
            mstore(add(m, 0xc0), and(front, u64)) // quantityLots
            mstore(add(m, 0xe0), shr(192, bounds)) // limitPriceTicks
            mstore(add(m, 0x100), and(shr(128, bounds), u64)) // cashLimitPerLot
            mstore(add(m, 0x120), and(shr(64, bounds), u64)) // feeLimit
            mstore(add(m, 0x140), and(shr(64, front), u64)) // validUntil
            mstore(add(m, 0x160), and(shr(160, front), u64)) // nonce
            mstore(add(m, 0x180), and(shr(128, front), 0xffffffff)) // version
            hash := keccak256(m, 0x1a0)
        }
    }

    function _word(uint256 position) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(position)
        }
    }
}
