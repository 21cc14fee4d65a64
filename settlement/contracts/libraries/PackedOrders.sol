// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Orders as they lie in the calldata of a batch, 136 bytes each, big-endian
/// @notice participant u16 | side u8 | kind u8 | nonce u64 | version u32 | validUntil u64 | quantityLots u64
///         | limitPriceTicks u64 | cashLimitPerLot u128 | feeLimit u128 | r b32 | s with the parity of v in its top bit
///         b32 (EIP-2098). `participant` is an index into the batch's accounts; tranche and cash token are the batch's.
/// @dev Readers take the calldata position of an order; the caller guarantees that it lies within the bytes.
library PackedOrders {
    uint256 internal constant BYTES = 136;
    uint8 internal constant BUY = 1;
    uint8 internal constant SELL = 2;
    uint8 internal constant ONCE = 0;
    uint8 internal constant STANDING = 1;

    /// keccak256 of the EIP-712 type, see `engine/signed_order.py`
    bytes32 internal constant TYPE_HASH = keccak256(
        "Order(address account,address trancheToken,address cashToken,uint8 side,uint8 kind,uint64 quantityLots,uint64 limitPriceTicks,uint128 cashLimitPerLot,uint128 feeLimit,uint64 validUntil,uint64 nonce,uint32 version)"
    );

    function positionOf(bytes calldata orders, uint256 index) internal pure returns (uint256 position) {
        assembly ("memory-safe") {
            position := add(orders.offset, mul(index, BYTES))
        }
    }

    function participant(uint256 position) internal pure returns (uint256) {
        return _head(position) >> 240;
    }

    function side(uint256 position) internal pure returns (uint256) {
        return (_head(position) >> 232) & 0xff;
    }

    function kind(uint256 position) internal pure returns (uint256) {
        return (_head(position) >> 224) & 0xff;
    }

    function nonce(uint256 position) internal pure returns (uint256) {
        return (_head(position) >> 160) & type(uint64).max;
    }

    function version(uint256 position) internal pure returns (uint256) {
        return (_head(position) >> 128) & type(uint32).max;
    }

    function validUntil(uint256 position) internal pure returns (uint256) {
        return (_head(position) >> 64) & type(uint64).max;
    }

    function quantityLots(uint256 position) internal pure returns (uint256) {
        return _head(position) & type(uint64).max;
    }

    function limitPriceTicks(uint256 position) internal pure returns (uint256) {
        return _word(position + 32) >> 192;
    }

    function cashLimitPerLot(uint256 position) internal pure returns (uint256) {
        return _word(position + 40) >> 128;
    }

    function feeLimit(uint256 position) internal pure returns (uint256) {
        return _word(position + 56) >> 128;
    }

    function signature(uint256 position) internal pure returns (bytes32 r, bytes32 vs) {
        return (bytes32(_word(position + 72)), bytes32(_word(position + 104)));
    }

    /// @notice `hashStruct` of the order under EIP-712.
    /// @dev Writes the encoding behind the free memory pointer without taking that memory.
    function structHash(uint256 position, address account, address trancheToken, address cashToken)
        internal
        pure
        returns (bytes32 hash)
    {
        bytes32 typeHash = TYPE_HASH;
        uint256 m;
        assembly ("memory-safe") {
            m := mload(0x40)
            mstore(m, typeHash)
            mstore(add(m, 0x20), account)
            mstore(add(m, 0x40), trancheToken)
            mstore(add(m, 0x60), cashToken)
        }
        _put(m + 0x80, side(position));
        _put(m + 0xa0, kind(position));
        _put(m + 0xc0, quantityLots(position));
        _put(m + 0xe0, limitPriceTicks(position));
        _put(m + 0x100, cashLimitPerLot(position));
        _put(m + 0x120, feeLimit(position));
        _put(m + 0x140, validUntil(position));
        _put(m + 0x160, nonce(position));
        _put(m + 0x180, version(position));
        assembly ("memory-safe") {
            hash := keccak256(m, 0x1a0)
        }
    }

    function _head(uint256 position) private pure returns (uint256) {
        return _word(position);
    }

    function _word(uint256 position) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(position)
        }
    }

    function _put(uint256 where, uint256 value) private pure {
        assembly ("memory-safe") {
            mstore(where, value)
        }
    }
}
