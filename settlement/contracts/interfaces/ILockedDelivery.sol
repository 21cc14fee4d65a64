// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice One net movement of a batch, from a net seller to a net buyer.
struct Delivery {
    address from;
    address to;
    uint64 lots;
}

/// @title What the DvP contract asks of a tranche token in mode `locked`
interface ILockedDelivery {
    /// @notice Delivers from the sellers' locks; only the DvP contract may call.
    /// @param deliveries net movements; each `from` and `to` must be eligible
    /// @param flat participants that neither deliver nor receive, and must be eligible all the same
    function deliverLocked(Delivery[] calldata deliveries, address[] calldata flat) external;

    /// @notice Numbered terms; `tickValueE9` is 0 where the terms were never set.
    function terms(uint16 termsId)
        external
        view
        returns (uint64 tickValueE9, uint64 factorE9, uint64 accruedE9PerLot, uint32 valueDate);
}
