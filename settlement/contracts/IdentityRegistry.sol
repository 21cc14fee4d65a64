// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IIdentityRegistry} from "./interfaces/IIdentityRegistry.sol";
import {IVerificationCache} from "./interfaces/IVerificationCache.sol";
import {AgentRole} from "./mixins/AgentRole.sol";

/// @title Who may hold one tranche
/// @notice Denies by default: an address is verified only while it is registered here and its evidence has not
///         expired.
/// @dev Invariant: after any change to an entry the bound token has forgotten what it remembered of it, so that a
///      token never acts on a verification that this registry no longer gives.
contract IdentityRegistry is IIdentityRegistry, AgentRole {
    struct Investor {
        address identity;
        uint16 country;
        uint40 validUntil;
    }

    event TokenBound(address indexed token);
    event ValidityUpdated(address indexed investorAddress, uint40 validUntil);

    error AlreadyRegistered(address investor);
    error NotRegistered(address investor);
    error LengthsDiffer();
    error TokenAlreadyBound(address token);

    mapping(address investor => Investor) private _investors;
    IVerificationCache public token;

    constructor(address initialOwner) AgentRole(initialOwner) {}

    /// @notice Binds the token of this tranche, once. Owner only; TokenBound.
    function bindToken(address token_) external onlyOwner {
        if (address(token) != address(0)) revert TokenAlreadyBound(address(token));
        if (token_ == address(0)) revert NoAddress();
        token = IVerificationCache(token_);
        emit TokenBound(token_);
    }

    /// @notice Registers an investor without end of validity. Agents only; IdentityRegistered.
    function registerIdentity(address userAddress, address identity_, uint16 country) external onlyAgent {
        _register(userAddress, identity_, country);
    }

    /// @notice Registers many; reverts whole if one cannot be registered.
    function batchRegisterIdentity(
        address[] calldata userAddresses,
        address[] calldata identities,
        uint16[] calldata countries
    ) external onlyAgent {
        if (userAddresses.length != identities.length || identities.length != countries.length) revert LengthsDiffer();
        for (uint256 i = 0; i < userAddresses.length; ++i) {
            _register(userAddresses[i], identities[i], countries[i]);
        }
    }

    /// @notice Removes an investor; verified no longer from this moment. Agents only; IdentityRemoved.
    function deleteIdentity(address userAddress) external onlyAgent {
        address identity_ = _registered(userAddress).identity;
        delete _investors[userAddress];
        emit IdentityRemoved(userAddress, identity_);
        _forget(userAddress);
    }

    /// @notice Agents only; CountryUpdated.
    function updateCountry(address userAddress, uint16 country) external onlyAgent {
        _registered(userAddress).country = country;
        emit CountryUpdated(userAddress, country);
        _forget(userAddress);
    }

    /// @notice Agents only; IdentityUpdated.
    function updateIdentity(address userAddress, address identity_) external onlyAgent {
        if (identity_ == address(0)) revert NoAddress();
        Investor storage investor = _registered(userAddress);
        address before = investor.identity;
        investor.identity = identity_;
        emit IdentityUpdated(before, identity_);
        _forget(userAddress);
    }

    /// @notice Sets when the investor's evidence expires (unix seconds). Agents only; ValidityUpdated.
    function setValidity(address userAddress, uint40 validUntil) external onlyAgent {
        _registered(userAddress).validUntil = validUntil;
        emit ValidityUpdated(userAddress, validUntil);
        _forget(userAddress);
    }

    /// @inheritdoc IIdentityRegistry
    function contains(address userAddress) external view returns (bool) {
        return _investors[userAddress].identity != address(0);
    }

    /// @inheritdoc IIdentityRegistry
    function isVerified(address userAddress) external view returns (bool) {
        Investor storage investor = _investors[userAddress];
        return investor.identity != address(0) && investor.validUntil >= block.timestamp;
    }

    /// @notice Last second at which the investor is verified; 0 for one not registered.
    function verifiedUntil(address userAddress) external view returns (uint40) {
        return _investors[userAddress].validUntil;
    }

    /// @inheritdoc IIdentityRegistry
    function identity(address userAddress) external view returns (address) {
        return _investors[userAddress].identity;
    }

    /// @inheritdoc IIdentityRegistry
    function investorCountry(address userAddress) external view returns (uint16) {
        return _investors[userAddress].country;
    }

    function _register(address userAddress, address identity_, uint16 country) private {
        if (userAddress == address(0) || identity_ == address(0)) revert NoAddress();
        if (_investors[userAddress].identity != address(0)) revert AlreadyRegistered(userAddress);
        _investors[userAddress] = Investor(identity_, country, type(uint40).max);
        emit IdentityRegistered(userAddress, identity_);
    }

    function _registered(address userAddress) private view returns (Investor storage investor) {
        investor = _investors[userAddress];
        if (investor.identity == address(0)) revert NotRegistered(userAddress);
    }

    function _forget(address userAddress) private {
        if (address(token) != address(0)) token.forgetVerification(userAddress);
    }
}
