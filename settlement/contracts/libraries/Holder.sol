// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Everything a tranche token knows of one holder, in one storage word, least significant bits first:
///         balance u64 | locked u64 | frozen u64 | verifiedUntil u32 | epoch u24 | addressFrozen 1 | receiveLocked 1
type Holder is uint256;

using HolderLib for Holder global;

/// @title Reading and changing a holder's word
/// @dev Pure; the caller stores the word. Every setter keeps the other fields. Callers guarantee that values fit:
///      lots are checked against the balance, or by `toLots`.
library HolderLib {
    uint256 private constant LOTS = type(uint64).max;
    uint256 private constant LOCKED_AT = 64;
    uint256 private constant FROZEN_AT = 128;
    uint256 private constant UNTIL_AT = 192;
    uint256 private constant EPOCH_AT = 224;
    uint256 private constant VERIFICATION = uint256(type(uint56).max) << UNTIL_AT;
    uint256 private constant ADDRESS_FROZEN = 1 << 248;
    uint256 private constant RECEIVE_LOCKED = 1 << 249;

    function balance(Holder h) internal pure returns (uint256) {
        return Holder.unwrap(h) & LOTS;
    }

    function locked(Holder h) internal pure returns (uint256) {
        return (Holder.unwrap(h) >> LOCKED_AT) & LOTS;
    }

    function frozen(Holder h) internal pure returns (uint256) {
        return (Holder.unwrap(h) >> FROZEN_AT) & LOTS;
    }

    function isAddressFrozen(Holder h) internal pure returns (bool) {
        return Holder.unwrap(h) & ADDRESS_FROZEN != 0;
    }

    function receivesLocked(Holder h) internal pure returns (bool) {
        return Holder.unwrap(h) & RECEIVE_LOCKED != 0;
    }

    /// @notice Lots neither locked nor frozen: what the holder may transfer or lock.
    function free(Holder h) internal pure returns (uint256) {
        uint256 bound = h.locked() + h.frozen();
        return h.balance() > bound ? h.balance() - bound : 0;
    }

    /// @notice Lots that can be delivered from the lock: a freeze reaches into it where the rest is not enough.
    function deliverable(Holder h) internal pure returns (uint256) {
        uint256 unfrozen = h.balance() - h.frozen();
        return h.locked() < unfrozen ? h.locked() : unfrozen;
    }

    /// @notice Whether a verification remembered under `epoch` still holds at `time`.
    function isVerifiedAt(Holder h, uint256 epoch, uint256 time) internal pure returns (bool) {
        return (Holder.unwrap(h) >> EPOCH_AT) & type(uint24).max == epoch
            && (Holder.unwrap(h) >> UNTIL_AT) & type(uint32).max >= time;
    }

    function withVerification(Holder h, uint256 until, uint256 epoch) internal pure returns (Holder) {
        return Holder.wrap((Holder.unwrap(h) & ~VERIFICATION) | (until << UNTIL_AT) | (epoch << EPOCH_AT));
    }

    function withAddressFrozen(Holder h, bool on) internal pure returns (Holder) {
        uint256 cleared = Holder.unwrap(h) & ~ADDRESS_FROZEN;
        return Holder.wrap(on ? cleared | ADDRESS_FROZEN : cleared);
    }

    function withReceivesLocked(Holder h, bool on) internal pure returns (Holder) {
        uint256 cleared = Holder.unwrap(h) & ~RECEIVE_LOCKED;
        return Holder.wrap(on ? cleared | RECEIVE_LOCKED : cleared);
    }

    /// @notice Adds to the balance; reverts with Panic 0x11 beyond 2^64-1 (`mint` bounds the supply to that).
    function plus(Holder h, uint256 lots) internal pure returns (Holder) {
        assert(h.balance() + lots <= LOTS);
        return Holder.wrap(Holder.unwrap(h) + lots);
    }

    /// @notice Takes from the balance; the caller has checked that it suffices.
    function minus(Holder h, uint256 lots) internal pure returns (Holder) {
        assert(h.balance() >= lots);
        return Holder.wrap(Holder.unwrap(h) - lots);
    }

    function withLocked(Holder h, uint256 lots) internal pure returns (Holder) {
        return Holder.wrap((Holder.unwrap(h) & ~(LOTS << LOCKED_AT)) | (lots << LOCKED_AT));
    }

    function withFrozen(Holder h, uint256 lots) internal pure returns (Holder) {
        return Holder.wrap((Holder.unwrap(h) & ~(LOTS << FROZEN_AT)) | (lots << FROZEN_AT));
    }
}
