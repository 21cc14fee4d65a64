// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICompliance} from "../interfaces/ICompliance.sol";
import {Delivery, ILockedDelivery} from "../interfaces/ILockedDelivery.sol";
import {Holder} from "../libraries/Holder.sol";
import {HolderBook} from "./HolderBook.sol";

/// @title Locks: lots that only the DvP contract can move, made by nobody but their holder
/// @notice Invariants.
///         1. Only the holder's own act locks lots: `lock`, or the standing choice that what arrives is locked.
///         2. Locked lots leave their holder only by a delivery of the DvP contract, or by an act of the issuer or a
///            court (forced transfer, burn, recovery), which is shown as LockBroken.
///         3. An unlock can be executed no sooner than `unbindDelay` after it was asked on chain, and only until
///            another `unbindDelay` later, so that nothing asked after a match takes the lots of its fill away.
///         4. A delivery moves lots between holders only; the DvP contract never holds any.
abstract contract HolderLocks is HolderBook, ILockedDelivery {
    struct Unlock {
        uint64 lots;
        uint40 executableFrom;
        uint40 lapsesAt;
    }

    event Locked(address indexed holder, uint256 lots);
    event UnlockRequested(address indexed holder, uint256 lots, uint40 executableFrom, uint40 lapsesAt);
    event UnlockCancelled(address indexed holder, uint256 lots);
    event Unlocked(address indexed holder, uint256 lots);
    event ReceiveLockedSet(address indexed holder, bool receiveLocked);
    event Delivered(address indexed from, address indexed to, uint256 lots, bool locked);

    error NotTheDvP(address caller);
    error InsufficientFree(address account, uint256 available, uint256 needed);
    error InsufficientLocked(address account, uint256 available, uint256 needed);
    error NoUnlock(address account);
    error UnlockNotYet(uint40 executableFrom);
    error UnlockLapsed(uint40 lapsesAt);
    error TokenPaused();

    address public immutable dvp;
    uint40 public immutable unbindDelay;
    bool public paused;
    mapping(address holder => Unlock) private _unlocks;

    constructor(address dvp_, uint40 unbindDelay_) {
        dvp = dvp_;
        unbindDelay = unbindDelay_;
    }

    modifier whenNotPaused() {
        if (paused) revert TokenPaused();
        _;
    }

    /// @notice Locks `lots` of the caller's free lots. Locked.
    function lock(uint64 lots) external {
        Holder holder = _holders[msg.sender];
        if (holder.free() < lots) revert InsufficientFree(msg.sender, holder.free(), lots);
        _holders[msg.sender] = holder.withLocked(holder.locked() + lots);
        emit Locked(msg.sender, lots);
    }

    /// @notice The caller's standing choice: what arrives from now on is locked, or is not. ReceiveLockedSet.
    function setReceiveLocked(bool receiveLocked) external {
        _holders[msg.sender] = _holders[msg.sender].withReceivesLocked(receiveLocked);
        emit ReceiveLockedSet(msg.sender, receiveLocked);
    }

    /// @notice Asks to unlock; replaces an earlier request, whose delay starts anew. UnlockRequested.
    function requestUnlock(uint64 lots) external {
        uint256 locked = _holders[msg.sender].locked();
        if (lots == 0 || locked < lots) revert InsufficientLocked(msg.sender, locked, lots);
        uint40 executableFrom = uint40(block.timestamp) + unbindDelay;
        uint40 lapsesAt = executableFrom + unbindDelay;
        _unlocks[msg.sender] = Unlock(lots, executableFrom, lapsesAt);
        emit UnlockRequested(msg.sender, lots, executableFrom, lapsesAt);
    }

    /// @notice Takes the caller's request back. UnlockCancelled.
    function cancelUnlock() external {
        uint64 lots = _asked().lots;
        delete _unlocks[msg.sender];
        emit UnlockCancelled(msg.sender, lots);
    }

    /// @notice Unlocks what was asked, or what is left of it after deliveries, within its window. Unlocked.
    function executeUnlock() external {
        Unlock memory asked = _asked();
        if (block.timestamp < asked.executableFrom) revert UnlockNotYet(asked.executableFrom);
        if (block.timestamp > asked.lapsesAt) revert UnlockLapsed(asked.lapsesAt);
        delete _unlocks[msg.sender];
        Holder holder = _holders[msg.sender];
        uint256 lots = asked.lots < holder.locked() ? asked.lots : holder.locked();
        _holders[msg.sender] = holder.withLocked(holder.locked() - lots);
        emit Unlocked(msg.sender, lots);
    }

    /// @inheritdoc ILockedDelivery
    function deliverLocked(Delivery[] calldata deliveries, address[] calldata flat) external whenNotPaused {
        if (msg.sender != dvp) revert NotTheDvP(msg.sender);
        uint256 epoch = verificationEpoch;
        for (uint256 i = 0; i < flat.length; ++i) {
            _eligible(flat[i], epoch);
        }
        for (uint256 i = 0; i < deliveries.length; ++i) {
            _deliver(deliveries[i].from, deliveries[i].to, deliveries[i].lots, epoch);
        }
    }

    /// @notice Lots of `account` that are locked.
    function lockedOf(address account) external view returns (uint256) {
        return _holders[account].locked();
    }

    /// @notice Lots of `account` that can be transferred or locked.
    function freeOf(address account) external view returns (uint256) {
        return _holders[account].free();
    }

    /// @notice Whether what `account` receives is locked at once.
    function receivesLocked(address account) external view returns (bool) {
        return _holders[account].receivesLocked();
    }

    /// @notice What `account` has asked to unlock; all zero where nothing is asked.
    function unlockOf(address account) external view returns (Unlock memory) {
        return _unlocks[account];
    }

    function _deliver(address from, address to, uint256 lots, uint256 epoch) private {
        Holder seller = _eligible(from, epoch);
        uint256 available = seller.deliverable();
        if (available < lots) revert InsufficientLocked(from, available, lots);
        _checkCompliance(from, to, lots);
        _holders[from] = seller.minus(lots).withLocked(seller.locked() - lots);
        Holder buyer = _credited(_eligible(to, epoch), lots);
        _holders[to] = buyer;
        emit Transfer(from, to, lots);
        emit Delivered(from, to, lots, buyer.receivesLocked());
        ICompliance(compliance).transferred(from, to, lots);
    }

    function _asked() private view returns (Unlock memory asked) {
        asked = _unlocks[msg.sender];
        if (asked.lots == 0) revert NoUnlock(msg.sender);
    }
}
