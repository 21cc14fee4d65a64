// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Who may hold a tranche (the part of ERC-3643's IIdentityRegistry that tokens and agents use)
/// @notice Function selectors and events are ERC-3643's; `identity` is the address of the investor's ONCHAINID
///         contract, or any address that stands for the investor's file (never personal data).
interface IIdentityRegistry {
    event IdentityRegistered(address indexed investorAddress, address indexed identity);
    event IdentityRemoved(address indexed investorAddress, address indexed identity);
    event IdentityUpdated(address indexed oldIdentity, address indexed newIdentity);
    event CountryUpdated(address indexed investorAddress, uint16 indexed country);

    function registerIdentity(address userAddress, address identity, uint16 country) external;
    function batchRegisterIdentity(
        address[] calldata userAddresses,
        address[] calldata identities,
        uint16[] calldata countries
    ) external;
    function deleteIdentity(address userAddress) external;
    function updateCountry(address userAddress, uint16 country) external;
    function updateIdentity(address userAddress, address identity) external;
    function contains(address userAddress) external view returns (bool);
    function isVerified(address userAddress) external view returns (bool);
    function identity(address userAddress) external view returns (address);
    function investorCountry(address userAddress) external view returns (uint16);
}
