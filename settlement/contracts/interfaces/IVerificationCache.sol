// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title A token that remembers verifications and can be told to forget one
interface IVerificationCache {
    /// @notice The registry changed what it says of `account`: ask it again next time. Registry only.
    function forgetVerification(address account) external;
}
