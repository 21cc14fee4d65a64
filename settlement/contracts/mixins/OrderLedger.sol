// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What orders have used up
/// @notice Invariants.
///         1. A standing order's key is (account, nonce): what filled under it never falls, and its highest version
///            never falls; a version below it settles nothing any more.
///         2. A once-order's nonce settles in one batch, ever.
///         3. A cancel asked on chain refuses fills matched `unbindDelay` after it or later, and no others.
/// @dev Standing keys lie two to a word, 128 bits each: filled u64 | version u32 | cancelledFrom u32 (unix seconds,
///      0: not cancelled). Once-nonces are bits, 256 to a word. The nonces of the two kinds are apart.
abstract contract OrderLedger {
    /// @dev A word of once-bits in use.
    struct OnceRun {
        address account;
        uint256 word;
        uint256 bits;
    }

    event CancelRequested(address indexed account, uint64 indexed nonce, uint32 cancelledFrom);

    error StaleVersion(uint256 orderIndex, uint256 highest);
    error Overfilled(uint256 orderIndex, uint256 filled, uint256 lots, uint256 quantity);
    error OrderCancelled(uint256 orderIndex, uint256 cancelledFrom);
    error OnceOrderSpent(uint256 orderIndex);
    error CancelAlreadyRequested(uint64 nonce, uint32 cancelledFrom);

    mapping(address account => mapping(uint256 pair => uint256)) private _standing;
    mapping(address account => mapping(uint256 word => uint256)) private _once;

    /// @notice A standing order of `account`: lots settled, highest version settled, and from when it is cancelled.
    function standingOrder(address account, uint64 nonce)
        external
        view
        returns (uint64 filledLots, uint32 version, uint32 cancelledFrom)
    {
        uint256 lane = _standing[account][nonce >> 1] >> _laneShift(nonce);
        return (uint64(lane), uint32(lane >> 64), uint32(lane >> 96));
    }

    /// @notice Whether a once-order's nonce is spent.
    function isOnceSpent(address account, uint64 nonce) external view returns (bool) {
        return (_once[account][nonce >> 8] >> (nonce & 0xff)) & 1 != 0;
    }

    function _requestCancel(address account, uint64 nonce, uint32 cancelledFrom) internal {
        uint256 shift = _laneShift(nonce);
        uint256 word = _standing[account][nonce >> 1];
        uint32 before = uint32(word >> (shift + 96));
        if (before != 0) revert CancelAlreadyRequested(nonce, before);
        _standing[account][nonce >> 1] = word | (uint256(cancelledFrom) << (shift + 96));
        emit CancelRequested(account, nonce, cancelledFrom);
    }

    function _useStanding(
        uint256 orderIndex,
        address account,
        uint256 nonce,
        uint256 version,
        uint256 quantity,
        uint256 lots,
        uint256 lastMatchTime
    ) internal {
        unchecked {
            uint256 shift = _laneShift(nonce);
            uint256 word = _standing[account][nonce >> 1];
            uint256 lane = word >> shift;
            uint256 filled = lane & type(uint64).max;
            uint256 highest = (lane >> 64) & type(uint32).max;
            uint256 cancelledFrom = (lane >> 96) & type(uint32).max;
            if (version < highest) revert StaleVersion(orderIndex, highest);
            if (filled + lots > quantity) revert Overfilled(orderIndex, filled, lots, quantity);
            if (cancelledFrom != 0 && lastMatchTime >= cancelledFrom) revert OrderCancelled(orderIndex, cancelledFrom);
            uint256 used = (filled + lots) | (version << 64);
            _standing[account][nonce >> 1] = (word & ~(uint256(type(uint96).max) << shift)) | (used << shift);
        }
    }

    /// @dev Spends a once-nonce. One word of bits is at hand at a time in `run`, which `_flush` stores: cheapest
    ///      where the orders of an account follow each other.
    function _useOnce(
        OnceRun memory run,
        uint256 orderIndex,
        address account,
        uint256 nonce,
        uint256 quantity,
        uint256 lots
    ) internal {
        if (account != run.account || nonce >> 8 != run.word) {
            _flush(run);
            (run.account, run.word, run.bits) = (account, nonce >> 8, _once[account][nonce >> 8]);
        }
        uint256 spent = run.bits | (1 << (nonce & 0xff));
        if (spent == run.bits) revert OnceOrderSpent(orderIndex);
        if (lots > quantity) revert Overfilled(orderIndex, 0, lots, quantity);
        run.bits = spent;
    }

    function _flush(OnceRun memory run) internal {
        if (run.account != address(0)) _once[run.account][run.word] = run.bits;
    }

    function _laneShift(uint256 nonce) private pure returns (uint256) {
        return (nonce & 1) << 7;
    }
}
