// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICompliance} from "../interfaces/ICompliance.sol";
import {IToken} from "../interfaces/IToken.sol";
import {Holder} from "../libraries/Holder.sol";

/// @notice What the registry tells beyond ERC-3643: until when it verifies an address; 0 for one it does not.
interface IVerifiedUntil {
    function verifiedUntil(address userAddress) external view returns (uint40);
}

/// @title The holders of a tranche: balances, eligibility, the remembered verification
/// @notice Invariants.
///         1. The balances sum to `totalSupply`, which fits 64 bits.
///         2. For every holder: locked <= balance and frozen <= balance.
///         3. Nobody receives whom the identity registry has not verified under the current epoch, at most
///            `VERIFICATION_LIFETIME` ago, and nobody sends or receives whose address is frozen.
abstract contract HolderBook is IToken {
    event VerificationEpochRaised(uint24 epoch);
    event LockBroken(address indexed holder, uint256 lots);

    error HolderNotVerified(address account);
    error HolderFrozen(address account);
    error ComplianceRefused(address from, address to, uint256 lots);
    error SupplyExceeded(uint256 supply);
    error NoReceiver();

    uint256 public constant VERIFICATION_LIFETIME = 24 hours;

    mapping(address account => Holder) internal _holders;
    uint256 public totalSupply;

    address public identityRegistry;
    uint24 public verificationEpoch = 1;
    address public compliance;

    /// @inheritdoc IToken
    function isFrozen(address userAddress) external view returns (bool) {
        return _holders[userAddress].isAddressFrozen();
    }

    /// @inheritdoc IToken
    function getFrozenTokens(address userAddress) external view returns (uint256) {
        return _holders[userAddress].frozen();
    }

    /// @notice Balance in lots: one base unit is one lot.
    function balanceOf(address account) public view returns (uint256) {
        return _holders[account].balance();
    }

    /// @notice Asks the registry about `account` and remembers the answer; anyone may call.
    function refreshVerification(address account) external {
        _holders[account] = _reverified(_holders[account], account, verificationEpoch);
    }

    /// @dev The word of an account that may take part in a transfer now, its verification renewed where it has run
    ///      out. Reverts HolderFrozen or HolderNotVerified. The caller stores the word.
    function _eligible(address account, uint256 epoch) internal view returns (Holder holder) {
        holder = _verifiedNow(account, epoch);
        if (holder.isAddressFrozen()) revert HolderFrozen(account);
    }

    /// @dev As `_eligible`, for the issuer's acts, which a frozen address does not stop.
    function _verifiedNow(address account, uint256 epoch) internal view returns (Holder holder) {
        holder = _holders[account];
        if (!holder.isVerifiedAt(epoch, block.timestamp)) holder = _reverified(holder, account, epoch);
    }

    function _reverified(Holder holder, address account, uint256 epoch) private view returns (Holder) {
        uint256 limit = IVerifiedUntil(identityRegistry).verifiedUntil(account);
        if (limit < block.timestamp) revert HolderNotVerified(account);
        uint256 until = block.timestamp + VERIFICATION_LIFETIME;
        return holder.withVerification(limit < until ? limit : until, epoch);
    }

    function _raiseVerificationEpoch() internal {
        emit VerificationEpochRaised(++verificationEpoch);
    }

    /// @dev Credits an eligible receiver; by the receiver's standing choice what arrives is locked at once.
    function _credited(Holder to, uint256 lots) internal pure returns (Holder) {
        to = to.plus(lots);
        return to.receivesLocked() ? to.withLocked(to.locked() + lots) : to;
    }

    /// @dev Takes lots from a holder whatever binds them (issuer, court): unfreezes, then unlocks what no longer
    ///      fits the balance. TokensUnfrozen, LockBroken.
    function _taken(Holder from, address account, uint256 lots) internal returns (Holder) {
        from = from.minus(lots);
        uint256 rest = from.balance();
        uint256 over = from.frozen() > rest ? from.frozen() - rest : 0;
        if (over != 0) {
            from = from.withFrozen(rest);
            emit TokensUnfrozen(account, over);
        }
        over = from.locked() > rest ? from.locked() - rest : 0;
        if (over != 0) {
            from = from.withLocked(rest);
            emit LockBroken(account, over);
        }
        return from;
    }

    function _checkCompliance(address from, address to, uint256 lots) internal view {
        if (!ICompliance(compliance).canTransfer(from, to, lots)) revert ComplianceRefused(from, to, lots);
    }
}
