// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Delivery} from "../interfaces/ILockedDelivery.sol";

/// @title From net positions to deliveries
library NetPairing {
    /// @notice Pairs net sellers with net buyers in their order, and lists who is flat.
    /// @dev The nets sum to zero. At most sellers + buyers - 1 deliveries, each of at least one lot.
    function pair(address[] calldata accounts, int256[] memory netLots)
        internal
        pure
        returns (Delivery[] memory deliveries, address[] memory flat)
    {
        flat = _flat(accounts, netLots);
        deliveries = new Delivery[](accounts.length);
        uint256 count = 0;
        uint256 seller = _next(netLots, 0, false);
        uint256 buyer = _next(netLots, 0, true);
        while (seller < accounts.length) {
            int256 lots = -netLots[seller] < netLots[buyer] ? -netLots[seller] : netLots[buyer];
            deliveries[count++] = Delivery(accounts[seller], accounts[buyer], uint64(uint256(lots)));
            netLots[seller] += lots;
            netLots[buyer] -= lots;
            if (netLots[seller] == 0) seller = _next(netLots, seller + 1, false);
            if (netLots[buyer] == 0) buyer = _next(netLots, buyer + 1, true);
        }
        assembly ("memory-safe") {
            mstore(deliveries, count)
        }
    }

    function _next(int256[] memory netLots, uint256 from, bool buyers) private pure returns (uint256 i) {
        for (i = from; i < netLots.length; ++i) {
            if (buyers ? netLots[i] > 0 : netLots[i] < 0) return i;
        }
    }

    function _flat(address[] calldata accounts, int256[] memory netLots) private pure returns (address[] memory flat) {
        flat = new address[](accounts.length);
        uint256 count = 0;
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (netLots[i] == 0) flat[count++] = accounts[i];
        }
        assembly ("memory-safe") {
            mstore(flat, count)
        }
    }
}
