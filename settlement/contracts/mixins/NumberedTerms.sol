// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Numbered terms of a tranche: what a lot costs at a price
/// @notice Invariant: terms, once set, never change; a fill that names them is paid by them for ever.
///         Cash of a fill in minor units =
///         round half up of lots * (priceTicks * tickValueE9 * factorE9 + accruedE9PerLot * 1e9) / 1e18.
abstract contract NumberedTerms {
    struct Terms {
        uint64 tickValueE9;
        uint64 factorE9;
        uint64 accruedE9PerLot;
        uint32 valueDate;
    }

    event TermsSet(
        uint16 indexed termsId, uint64 tickValueE9, uint64 factorE9, uint64 accruedE9PerLot, uint32 valueDate
    );

    error TermsAlreadySet(uint16 termsId);
    error TermsWithoutValue(uint16 termsId);

    mapping(uint16 termsId => Terms) private _terms;

    function _termsOf(uint16 termsId) internal view returns (uint64, uint64, uint64, uint32) {
        Terms storage t = _terms[termsId];
        return (t.tickValueE9, t.factorE9, t.accruedE9PerLot, t.valueDate);
    }

    function _setTerms(uint16 termsId, Terms memory t) internal {
        if (termsId == 0 || t.tickValueE9 == 0) revert TermsWithoutValue(termsId);
        if (_terms[termsId].tickValueE9 != 0) revert TermsAlreadySet(termsId);
        _terms[termsId] = t;
        emit TermsSet(termsId, t.tickValueE9, t.factorE9, t.accruedE9PerLot, t.valueDate);
    }
}
