// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Keys that sign orders for an account
/// @notice An account always signs for itself; further keys are registered by a transaction of the account, which may
///         be a contract.
/// @dev Invariant: nothing an account does here ends a key sooner than `unbindDelay` after it did it on chain, so
///      that no fill already matched loses its signature.
abstract contract SigningKeys {
    struct KeyGrant {
        uint64 validUntil;
        uint64 revokedFrom;
    }

    event SigningKeyRegistered(address indexed account, address indexed key, uint64 validUntil);
    event SigningKeyRevoked(address indexed account, address indexed key, uint64 revokedFrom);

    error BadSigningKey(address key);
    error ValidityCannotShrink(uint64 validUntil);
    error KeyNotRegistered(address account, address key);
    error KeyAlreadyRevoked(address account, address key);

    uint40 public immutable unbindDelay;
    mapping(address account => mapping(address key => KeyGrant)) private _grants;

    constructor(uint40 unbindDelay_) {
        unbindDelay = unbindDelay_;
    }

    /// @notice Lets `key` sign for the caller until `validUntil` (unix seconds), or prolongs it.
    ///         SigningKeyRegistered.
    function registerSigningKey(address key, uint64 validUntil) external {
        KeyGrant storage grant = _grants[msg.sender][key];
        if (key == address(0) || key == msg.sender || validUntil <= block.timestamp) revert BadSigningKey(key);
        if (grant.revokedFrom != 0) revert KeyAlreadyRevoked(msg.sender, key);
        if (validUntil < grant.validUntil) revert ValidityCannotShrink(grant.validUntil);
        grant.validUntil = validUntil;
        emit SigningKeyRegistered(msg.sender, key, validUntil);
    }

    /// @notice Ends a key for good, for fills matched from now + `unbindDelay` on. SigningKeyRevoked.
    function revokeSigningKey(address key) external {
        KeyGrant storage grant = _grants[msg.sender][key];
        if (grant.validUntil == 0) revert KeyNotRegistered(msg.sender, key);
        if (grant.revokedFrom != 0) revert KeyAlreadyRevoked(msg.sender, key);
        grant.revokedFrom = uint64(block.timestamp) + unbindDelay;
        emit SigningKeyRevoked(msg.sender, key, grant.revokedFrom);
    }

    /// @notice What `account` granted `key`.
    function keyGrant(address account, address key) external view returns (KeyGrant memory) {
        return _grants[account][key];
    }

    /// @dev Last second at which a further `key` signs for `account`; 0 if it never does.
    function _keyValidUntil(address account, address key) internal view returns (uint256) {
        KeyGrant memory grant = _grants[account][key];
        if (grant.revokedFrom == 0 || grant.validUntil < grant.revokedFrom) return grant.validUntil;
        return grant.revokedFrom - 1;
    }
}
