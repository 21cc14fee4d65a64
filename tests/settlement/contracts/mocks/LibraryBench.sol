// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {FillCash} from "libraries/FillCash.sol";
import {PackedOrders} from "libraries/PackedOrders.sol";

/// @notice The libraries' functions, callable one by one.
contract LibraryBench {
    function amountMinor(uint256 lots, uint256 priceTicks, uint256 tickValueE9, uint256 factorE9, uint256 accruedE9)
        external
        pure
        returns (uint256)
    {
        return FillCash.amountMinor(lots, priceTicks, tickValueE9 * factorE9, accruedE9);
    }

    function structHash(bytes calldata orders, uint256 index, address account, address tranche, address cash)
        external
        pure
        returns (bytes32)
    {
        return PackedOrders.structHash(PackedOrders.positionOf(orders, index), account, tranche, cash);
    }
}
