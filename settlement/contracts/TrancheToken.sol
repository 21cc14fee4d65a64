// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICompliance} from "./interfaces/ICompliance.sol";
import {IIdentityRegistry} from "./interfaces/IIdentityRegistry.sol";
import {ILockedDelivery} from "./interfaces/ILockedDelivery.sol";
import {IToken} from "./interfaces/IToken.sol";
import {IVerificationCache} from "./interfaces/IVerificationCache.sol";
import {Holder} from "./libraries/Holder.sol";
import {AgentRole} from "./mixins/AgentRole.sol";
import {HolderLocks} from "./mixins/HolderLocks.sol";
import {NumberedTerms} from "./mixins/NumberedTerms.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

/// @title A tranche of an asset-backed security as a permissioned token (ERC-3643), with locks and numbered terms
/// @notice One base unit is one lot; there are no decimals. The owner names agents, registry and compliance; agents
///         act for the issuer. What holders, locks and terms guarantee is said at HolderBook, HolderLocks and
///         NumberedTerms.
contract TrancheToken is HolderLocks, NumberedTerms, AgentRole, IVerificationCache, IERC20Errors {
    error LengthsDiffer();
    error NotTheRegistry(address caller);
    error AlreadyPaused();
    error NotPaused();
    error InsufficientFrozen(address account, uint256 frozen, uint256 needed);
    error SameHolder(address account);
    error NothingToRecover(address lostWallet);
    error NotTheInvestor(address lostWallet, address investorOnchainID);

    string public name;
    string public symbol;
    address public onchainID;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    constructor(
        address initialOwner,
        string memory name_,
        string memory symbol_,
        address identityRegistry_,
        address compliance_,
        address dvp_,
        uint40 unbindDelay_
    ) AgentRole(initialOwner) HolderLocks(dvp_, unbindDelay_) {
        name = name_;
        symbol = symbol_;
        identityRegistry = identityRegistry_;
        compliance = compliance_;
        emit UpdatedTokenInformation(name_, symbol_, 0, version(), address(0));
        emit IdentityRegistryAdded(identityRegistry_);
        emit ComplianceAdded(compliance_);
        ICompliance(compliance_).bindToken(address(this));
    }

    /// @notice Transfers free lots between eligible holders, within the compliance rules. Transfer.
    function transfer(address to, uint256 amount) external whenNotPaused returns (bool) {
        _transfer(msg.sender, to, amount);
        return true;
    }

    /// @notice As `transfer`, out of an allowance. Transfer.
    function transferFrom(address from, address to, uint256 amount) external whenNotPaused returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed != type(uint256).max) {
            if (allowed < amount) revert ERC20InsufficientAllowance(msg.sender, allowed, amount);
            allowance[from][msg.sender] = allowed - amount;
        }
        _transfer(from, to, amount);
        return true;
    }

    /// @notice Lets `spender` transfer the caller's free lots; locked lots are out of its reach. Approval.
    function approve(address spender, uint256 amount) external returns (bool) {
        if (spender == address(0)) revert ERC20InvalidSpender(spender);
        allowance[msg.sender][spender] = amount;
        emit Approval(msg.sender, spender, amount);
        return true;
    }

    /// @inheritdoc IToken
    function batchTransfer(address[] calldata toList, uint256[] calldata amounts) external whenNotPaused {
        if (toList.length != amounts.length) revert LengthsDiffer();
        for (uint256 i = 0; i < toList.length; ++i) {
            _transfer(msg.sender, toList[i], amounts[i]);
        }
    }

    /// @notice Sets numbered terms for ever. Agents only; TermsSet.
    function setTerms(
        uint16 termsId,
        uint64 tickValueE9,
        uint64 factorE9,
        uint64 accruedE9PerLot,
        uint32 valueDate
    ) external onlyAgent {
        _setTerms(termsId, Terms(tickValueE9, factorE9, accruedE9PerLot, valueDate));
    }

    /// @inheritdoc IToken
    function mint(address to, uint256 amount) external onlyAgent {
        _mint(to, amount);
    }

    /// @inheritdoc IToken
    function batchMint(address[] calldata toList, uint256[] calldata amounts) external onlyAgent {
        if (toList.length != amounts.length) revert LengthsDiffer();
        for (uint256 i = 0; i < toList.length; ++i) {
            _mint(toList[i], amounts[i]);
        }
    }

    /// @inheritdoc IToken
    function burn(address userAddress, uint256 amount) external onlyAgent {
        _burn(userAddress, amount);
    }

    /// @inheritdoc IToken
    function batchBurn(address[] calldata userAddresses, uint256[] calldata amounts) external onlyAgent {
        if (userAddresses.length != amounts.length) revert LengthsDiffer();
        for (uint256 i = 0; i < userAddresses.length; ++i) {
            _burn(userAddresses[i], amounts[i]);
        }
    }

    /// @notice Issuer's or court's transfer: skips freeze, lock and compliance, never the receiver's verification.
    ///         Refuses one holder as both, which would shake off freezes. Transfer, and TokensUnfrozen and LockBroken
    ///         for what it reaches into. Agents only.
    function forcedTransfer(address from, address to, uint256 amount) external onlyAgent returns (bool) {
        _forcedTransfer(from, to, amount);
        return true;
    }

    /// @inheritdoc IToken
    function batchForcedTransfer(
        address[] calldata fromList,
        address[] calldata toList,
        uint256[] calldata amounts
    ) external onlyAgent {
        if (fromList.length != toList.length || toList.length != amounts.length) revert LengthsDiffer();
        for (uint256 i = 0; i < fromList.length; ++i) {
            _forcedTransfer(fromList[i], toList[i], amounts[i]);
        }
    }

    /// @notice Moves all of an investor's lots, with their freezes and locks, from a lost wallet to a new one, and
    ///         its place in the registry. Agents only; the token must be an agent of the registry. RecoverySuccess.
    function recoveryAddress(address lostWallet, address newWallet, address investorOnchainID)
        external
        onlyAgent
        returns (bool)
    {
        IIdentityRegistry registry = IIdentityRegistry(identityRegistry);
        Holder lost = _holders[lostWallet];
        if (lost.balance() == 0) revert NothingToRecover(lostWallet);
        if (registry.identity(lostWallet) != investorOnchainID) revert NotTheInvestor(lostWallet, investorOnchainID);
        if (!registry.contains(newWallet)) {
            registry.registerIdentity(newWallet, investorOnchainID, registry.investorCountry(lostWallet));
        } else if (registry.identity(newWallet) != investorOnchainID) {
            revert NotTheInvestor(newWallet, investorOnchainID);
        }
        _recover(lost, lostWallet, newWallet);
        registry.deleteIdentity(lostWallet);
        emit RecoverySuccess(lostWallet, newWallet, investorOnchainID);
        ICompliance(compliance).transferred(lostWallet, newWallet, lost.balance());
        return true;
    }

    /// @inheritdoc IToken
    function setAddressFrozen(address userAddress, bool freeze) external onlyAgent {
        _setAddressFrozen(userAddress, freeze);
    }

    /// @inheritdoc IToken
    function batchSetAddressFrozen(address[] calldata userAddresses, bool[] calldata freeze) external onlyAgent {
        if (userAddresses.length != freeze.length) revert LengthsDiffer();
        for (uint256 i = 0; i < userAddresses.length; ++i) {
            _setAddressFrozen(userAddresses[i], freeze[i]);
        }
    }

    /// @inheritdoc IToken
    function freezePartialTokens(address userAddress, uint256 amount) external onlyAgent {
        _freeze(userAddress, amount);
    }

    /// @inheritdoc IToken
    function batchFreezePartialTokens(address[] calldata userAddresses, uint256[] calldata amounts)
        external
        onlyAgent
    {
        if (userAddresses.length != amounts.length) revert LengthsDiffer();
        for (uint256 i = 0; i < userAddresses.length; ++i) {
            _freeze(userAddresses[i], amounts[i]);
        }
    }

    /// @inheritdoc IToken
    function unfreezePartialTokens(address userAddress, uint256 amount) external onlyAgent {
        _unfreeze(userAddress, amount);
    }

    /// @inheritdoc IToken
    function batchUnfreezePartialTokens(address[] calldata userAddresses, uint256[] calldata amounts)
        external
        onlyAgent
    {
        if (userAddresses.length != amounts.length) revert LengthsDiffer();
        for (uint256 i = 0; i < userAddresses.length; ++i) {
            _unfreeze(userAddresses[i], amounts[i]);
        }
    }

    /// @notice Stops transfers and deliveries. Agents only; Paused.
    function pause() external onlyAgent {
        if (paused) revert AlreadyPaused();
        paused = true;
        emit Paused(msg.sender);
    }

    /// @notice Agents only; Unpaused.
    function unpause() external onlyAgent {
        if (!paused) revert NotPaused();
        paused = false;
        emit Unpaused(msg.sender);
    }

    /// @notice One write makes the token ask the registry about everybody again. Agents only.
    function raiseVerificationEpoch() external onlyAgent {
        _raiseVerificationEpoch();
    }

    /// @inheritdoc IVerificationCache
    function forgetVerification(address account) external {
        if (msg.sender != identityRegistry) revert NotTheRegistry(msg.sender);
        _holders[account] = _holders[account].withVerification(0, 0);
    }

    /// @notice Owner only; raises the epoch, because the new registry may say otherwise. IdentityRegistryAdded.
    function setIdentityRegistry(address identityRegistry_) external onlyOwner {
        identityRegistry = identityRegistry_;
        emit IdentityRegistryAdded(identityRegistry_);
        _raiseVerificationEpoch();
    }

    /// @notice Owner only; unbinds the rules before and binds the new ones. ComplianceAdded.
    function setCompliance(address compliance_) external onlyOwner {
        address before = compliance;
        compliance = compliance_;
        emit ComplianceAdded(compliance_);
        ICompliance(before).unbindToken(address(this));
        ICompliance(compliance_).bindToken(address(this));
    }

    /// @notice Owner only; UpdatedTokenInformation.
    function setName(string calldata name_) external onlyOwner {
        name = name_;
        emit UpdatedTokenInformation(name_, symbol, 0, version(), onchainID);
    }

    /// @notice Owner only; UpdatedTokenInformation.
    function setSymbol(string calldata symbol_) external onlyOwner {
        symbol = symbol_;
        emit UpdatedTokenInformation(name, symbol_, 0, version(), onchainID);
    }

    /// @notice Owner only; UpdatedTokenInformation.
    function setOnchainID(address onchainID_) external onlyOwner {
        onchainID = onchainID_;
        emit UpdatedTokenInformation(name, symbol, 0, version(), onchainID_);
    }

    /// @inheritdoc ILockedDelivery
    function terms(uint16 termsId)
        public
        view
        returns (uint64 tickValueE9, uint64 factorE9, uint64 accruedE9PerLot, uint32 valueDate)
    {
        return _termsOf(termsId);
    }

    /// @inheritdoc IToken
    function decimals() external pure returns (uint8) {
        return 0;
    }

    /// @inheritdoc IToken
    function version() public pure returns (string memory) {
        return "1";
    }

    function _transfer(address from, address to, uint256 amount) private {
        if (to == address(0)) revert NoReceiver();
        uint256 epoch = verificationEpoch;
        Holder sender = _holders[from];
        if (sender.isAddressFrozen()) revert HolderFrozen(from);
        if (sender.free() < amount) revert InsufficientFree(from, sender.free(), amount);
        _checkCompliance(from, to, amount);
        _holders[from] = sender.minus(amount);
        _credit(to, _eligible(to, epoch), amount);
        emit Transfer(from, to, amount);
        ICompliance(compliance).transferred(from, to, amount);
    }

    function _mint(address to, uint256 amount) private {
        if (to == address(0)) revert NoReceiver();
        _checkCompliance(address(0), to, amount);
        totalSupply += amount;
        if (totalSupply > type(uint64).max) revert SupplyExceeded(totalSupply);
        _credit(to, _verifiedNow(to, verificationEpoch), amount);
        emit Transfer(address(0), to, amount);
        ICompliance(compliance).created(to, amount);
    }

    function _burn(address from, uint256 amount) private {
        _checkBalance(from, amount);
        _holders[from] = _taken(_holders[from], from, amount);
        totalSupply -= amount;
        emit Transfer(from, address(0), amount);
        ICompliance(compliance).destroyed(from, amount);
    }

    function _forcedTransfer(address from, address to, uint256 amount) private {
        if (from == to) revert SameHolder(from);
        _checkBalance(from, amount);
        _holders[from] = _taken(_holders[from], from, amount);
        _credit(to, _verifiedNow(to, verificationEpoch), amount);
        emit Transfer(from, to, amount);
        ICompliance(compliance).transferred(from, to, amount);
    }

    function _credit(address to, Holder receiver, uint256 amount) private {
        _holders[to] = _credited(receiver, amount);
        if (receiver.receivesLocked()) emit Locked(to, amount);
    }

    function _recover(Holder lost, address lostWallet, address newWallet) private {
        uint256 lots = lost.balance();
        Holder fresh = _verifiedNow(newWallet, verificationEpoch).plus(lots);
        fresh = fresh.withFrozen(fresh.frozen() + lost.frozen()).withLocked(fresh.locked() + lost.locked());
        if (lost.isAddressFrozen()) {
            fresh = fresh.withAddressFrozen(true);
            emit AddressFrozen(newWallet, true, msg.sender);
        }
        _holders[lostWallet] = Holder.wrap(0).withAddressFrozen(lost.isAddressFrozen());
        _holders[newWallet] = fresh;
        emit Transfer(lostWallet, newWallet, lots);
        if (lost.frozen() != 0) {
            emit TokensUnfrozen(lostWallet, lost.frozen());
            emit TokensFrozen(newWallet, lost.frozen());
        }
        if (lost.locked() != 0) {
            emit LockBroken(lostWallet, lost.locked());
            emit Locked(newWallet, lost.locked());
        }
    }

    function _setAddressFrozen(address userAddress, bool freeze) private {
        _holders[userAddress] = _holders[userAddress].withAddressFrozen(freeze);
        emit AddressFrozen(userAddress, freeze, msg.sender);
    }

    function _freeze(address userAddress, uint256 amount) private {
        Holder holder = _holders[userAddress];
        uint256 unfrozen = holder.balance() - holder.frozen();
        if (unfrozen < amount) revert ERC20InsufficientBalance(userAddress, unfrozen, amount);
        _holders[userAddress] = holder.withFrozen(holder.frozen() + amount);
        emit TokensFrozen(userAddress, amount);
    }

    function _unfreeze(address userAddress, uint256 amount) private {
        Holder holder = _holders[userAddress];
        if (holder.frozen() < amount) revert InsufficientFrozen(userAddress, holder.frozen(), amount);
        _holders[userAddress] = holder.withFrozen(holder.frozen() - amount);
        emit TokensUnfrozen(userAddress, amount);
    }

    function _checkBalance(address account, uint256 amount) private view {
        uint256 balance = _holders[account].balance();
        if (balance < amount) revert ERC20InsufficientBalance(account, balance, amount);
    }
}
