// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Vault} from "./Vault.sol";
import {Delivery, ILockedDelivery} from "./interfaces/ILockedDelivery.sol";
import {FillCash} from "./libraries/FillCash.sol";
import {NetPairing} from "./libraries/NetPairing.sol";
import {PackedFill, PackedFillLib} from "./libraries/PackedFill.sol";
import {PackedOrders} from "./libraries/PackedOrders.sol";
import {Tally} from "./libraries/Tally.sol";
import {OrderLedger} from "./mixins/OrderLedger.sol";
import {SigningKeys} from "./mixins/SigningKeys.sol";
import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @title Delivery versus payment of matched fills, netted, in one transaction or not at all
/// @notice Invariants.
///         1. A fill number of a tranche settles once, ever.
///         2. Nothing settles that the engine's key did not attest, and nothing outside what each side signed: side,
///            tranche, cash token, price, cash per lot, quantity over all versions, and validity at the match time.
///         3. Both legs of every fill of a batch move, or none; this contract holds neither tokens nor cash, and has
///            no allowance.
///         4. Every account of a batch, flat ones too, is eligible for the tranche when it settles.
///         5. An account ends nothing it signed sooner than `unbindDelay` after it said so on chain, and a fill older
///            than `settlementWindow`, which is shorter, never settles; so no account can take a matched fill back.
/// @dev Immutable; a successor is a new contract. Deploys its vault, which obeys no other.
contract DvP is AccessControl, Pausable, ReentrancyGuardTransient, EIP712, SigningKeys, OrderLedger {
    using PackedOrders for uint256;
    using Tally for uint256[];
    using Tally for int256[];

    /// @notice How the tokens of a tranche are held between match and settlement. `Locked`: by the holder's own lock.
    enum Mode {
        None,
        Locked
    }

    /// @notice What a batch is of, as the engine's key attests it together with the hashes of fills and orders.
    struct Batch {
        address trancheToken;
        address cashToken;
        uint16 shard;
        uint64 journalRow;
        bytes32 rowHash;
    }

    /// @dev What stays the same over the fills of a batch, and what runs along with them.
    struct Walk {
        uint256 oldest;
        uint256 newest;
        uint256 nextNumber;
        uint256 bitmapWord;
        uint256 bitmap;
        uint256 termsId;
        uint256 tickValueE18;
        uint256 accruedE9PerLot;
    }

    event TrancheListed(address indexed trancheToken, Mode mode);
    event BatchSettled(
        address indexed trancheToken,
        uint40 firstFill,
        uint40 lastFill,
        uint32 count,
        uint16 indexed shard,
        uint64 indexed journalRow,
        bytes32 rowHash,
        bytes32 fillsHash
    );

    error DelayTooShort(uint40 settlementWindow, uint40 unbindDelay);
    error TrancheNotListed(address trancheToken);
    error AttestationRefused(address signer);
    error MalformedBatch();
    error ParticipantsNotAscending(uint256 participantIndex);
    error BadOrder(uint256 orderIndex);
    error BadSignature(uint256 orderIndex, address account, address signer);
    error OrderNotValid(uint256 orderIndex, uint256 validUntil, uint256 matchTime);
    error OrderUnused(uint256 orderIndex);
    error BadFill(uint256 fillIndex);
    error FillOutOfOrder(uint256 fillIndex, uint256 fillNumber);
    error FillAlreadySettled(uint256 fillIndex, uint256 fillNumber);
    error FillTooOld(uint256 fillIndex, uint256 matchTime);
    error FillFromTheFuture(uint256 fillIndex, uint256 matchTime);
    error UnknownTerms(uint256 fillIndex, uint256 termsId);
    error PriceBeyondLimit(uint256 fillIndex, uint256 orderIndex);
    error CashBeyondLimit(uint256 fillIndex, uint256 orderIndex, uint256 amount);

    bytes32 public constant SUBMITTER_ROLE = keccak256("SUBMITTER_ROLE");
    bytes32 public constant ENGINE_ROLE = keccak256("ENGINE_ROLE");
    bytes32 public constant PAUSER_ROLE = keccak256("PAUSER_ROLE");
    bytes32 public constant LISTING_ROLE = keccak256("LISTING_ROLE");

    /// @notice How far the match time may lie ahead of the block's, seconds: clocks differ.
    uint256 public constant CLOCK_SKEW = 60;

    bytes32 private constant BATCH_TYPE_HASH = keccak256(
        "Batch(address trancheToken,address cashToken,uint16 shard,uint64 journalRow,bytes32 rowHash,"
        "bytes32 fillsHash,bytes32 ordersHash)"
    );

    Vault public immutable vault;
    uint40 public immutable settlementWindow;

    mapping(address trancheToken => Mode) public modeOf;
    mapping(address trancheToken => mapping(uint256 word => uint256)) private _settledFills;

    /// @param admin grants the roles, and owns the vault's list of cash tokens
    /// @param settlementWindow_ seconds after its match that a fill may settle
    /// @param unbindDelay_ seconds before anything asked on chain binds; longer than the window
    constructor(address admin, uint40 settlementWindow_, uint40 unbindDelay_)
        EIP712("ABST DvP", "1")
        SigningKeys(unbindDelay_)
    {
        if (unbindDelay_ <= settlementWindow_ + CLOCK_SKEW) revert DelayTooShort(settlementWindow_, unbindDelay_);
        settlementWindow = settlementWindow_;
        vault = new Vault(admin, unbindDelay_);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @notice Settles one batch whole. Submitters only; BatchSettled.
    /// @dev Effects (fill numbers, orders) before interactions (the two legs); a check that fails, wherever it
    ///      stands, undoes all. Errors name the order or fill by its index in the batch, or the account.
    /// @param accounts the participants, each once, ascending
    /// @param orders packed orders with their signatures, see PackedOrders
    /// @param fills packed fills by ascending number, see PackedFill
    /// @param attestation the engine's signature over the batch, 65 bytes
    function settle(
        Batch calldata batch,
        address[] calldata accounts,
        bytes calldata orders,
        bytes calldata fills,
        bytes calldata attestation
    ) external nonReentrant whenNotPaused onlyRole(SUBMITTER_ROLE) {
        if (modeOf[batch.trancheToken] == Mode.None) revert TrancheNotListed(batch.trancheToken);
        if (orders.length % PackedOrders.BYTES != 0 || fills.length % PackedFillLib.BYTES != 0 || fills.length == 0) {
            revert MalformedBatch();
        }
        bytes memory fillWords = fills;
        bytes32 fillsHash = keccak256(fillWords);
        _settle(batch, accounts, orders, fillWords, fillsHash, attestation);
        uint256 count = fillWords.length / PackedFillLib.BYTES;
        emit BatchSettled(
            batch.trancheToken,
            uint40(PackedFillLib.load(fillWords, 0).number()),
            uint40(PackedFillLib.load(fillWords, count - 1).number()),
            uint32(count),
            batch.shard,
            batch.journalRow,
            batch.rowHash,
            fillsHash
        );
    }

    /// @notice Cancels the caller's standing order for fills matched from now + `unbindDelay` on; the venue cancels
    ///         at once. CancelRequested.
    function requestCancel(uint64 nonce) external {
        _requestCancel(msg.sender, nonce, uint32(block.timestamp + unbindDelay));
    }

    /// @notice Lists a tranche for settlement in a mode, or delists it (None). TrancheListed.
    function listTranche(address trancheToken, Mode mode) external onlyRole(LISTING_ROLE) {
        modeOf[trancheToken] = mode;
        emit TrancheListed(trancheToken, mode);
    }

    /// @notice Stops settlement; the vault goes on paying withdrawals. Paused.
    function pause() external onlyRole(PAUSER_ROLE) {
        _pause();
    }

    /// @notice Unpaused.
    function unpause() external onlyRole(DEFAULT_ADMIN_ROLE) {
        _unpause();
    }

    /// @notice Whether a fill of a tranche has settled.
    function isSettled(address trancheToken, uint40 fillNumber) external view returns (bool) {
        return (_settledFills[trancheToken][fillNumber >> 8] >> (fillNumber & 0xff)) & 1 != 0;
    }

    /// @notice The EIP-712 domain separator of orders and attestations.
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _settle(
        Batch calldata batch,
        address[] calldata accounts,
        bytes calldata orders,
        bytes memory fills,
        bytes32 fillsHash,
        bytes calldata attestation
    ) private {
        _checkAscending(accounts);
        int256[] memory netLots = new int256[](accounts.length);
        int256[] memory netCash = new int256[](accounts.length);
        uint256[] memory used = new uint256[](orders.length / PackedOrders.BYTES);
        _walkFills(batch.trancheToken, orders, fills, used, netLots, netCash);
        bytes32 ordersHash = _useOrders(batch, accounts, orders, used);
        _checkAttestation(batch, fillsHash, ordersHash, attestation);
        (Delivery[] memory deliveries, address[] memory flat) = NetPairing.pair(accounts, netLots);
        ILockedDelivery(batch.trancheToken).deliverLocked(deliveries, flat);
        vault.settle(batch.cashToken, accounts, netCash);
    }

    function _checkAscending(address[] calldata accounts) private pure {
        address before = address(0);
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (accounts[i] <= before) revert ParticipantsNotAscending(i);
            before = accounts[i];
        }
    }

    function _checkAttestation(
        Batch calldata batch,
        bytes32 fillsHash,
        bytes32 ordersHash,
        bytes calldata attestation
    ) private view {
        bytes32 structHash = keccak256(
            abi.encode(
                BATCH_TYPE_HASH,
                batch.trancheToken,
                batch.cashToken,
                batch.shard,
                batch.journalRow,
                batch.rowHash,
                fillsHash,
                ordersHash
            )
        );
        (address signer,,) = ECDSA.tryRecover(_hashTypedDataV4(structHash), attestation);
        if (signer == address(0) || !hasRole(ENGINE_ROLE, signer)) revert AttestationRefused(signer);
    }

    /// @dev Marks every fill, checks it against both orders, and adds it to the nets and to what its orders used:
    ///      used[i] = lots | last match time << 64.
    function _walkFills(
        address trancheToken,
        bytes calldata orders,
        bytes memory fills,
        uint256[] memory used,
        int256[] memory netLots,
        int256[] memory netCash
    ) private {
        Walk memory walk;
        walk.oldest = block.timestamp - settlementWindow;
        walk.newest = block.timestamp + CLOCK_SKEW;
        walk.bitmapWord = type(uint256).max;
        unchecked {
            uint256 count = fills.length / PackedFillLib.BYTES;
            for (uint256 i = 0; i < count; ++i) {
                PackedFill fill = PackedFillLib.load(fills, i);
                _markFill(walk, trancheToken, i, fill);
                uint256 matchTime = fill.matchTime();
                if (matchTime < walk.oldest) revert FillTooOld(i, matchTime);
                if (matchTime > walk.newest) revert FillFromTheFuture(i, matchTime);
                if (fill.termsId() != walk.termsId || i == 0) _loadTerms(walk, trancheToken, i, fill.termsId());
                uint256 lots = fill.lots();
                uint256 price = fill.priceTicks();
                uint256 amount = FillCash.amountMinor(lots, price, walk.tickValueE18, walk.accruedE9PerLot);
                uint256 buy = fill.buyOrder();
                uint256 sell = fill.sellOrder();
                if (lots == 0 || fill.rest() != 0 || buy >= used.length || sell >= used.length) revert BadFill(i);

                uint256 order = PackedOrders.positionOf(orders, buy);
                uint256 limits = order.limits();
                uint256 head = order.head();
                if (head.side() != PackedOrders.BUY || head.participant() >= netLots.length) revert BadOrder(buy);
                if (price > limits >> 192) revert PriceBeyondLimit(i, buy);
                if (amount > lots * ((limits >> 128) & type(uint64).max)) revert CashBeyondLimit(i, buy, amount);
                used.use(buy, lots, matchTime);
                netLots.add(head.participant(), int256(lots));
                netCash.add(head.participant(), -int256(amount));

                order = PackedOrders.positionOf(orders, sell);
                limits = order.limits();
                head = order.head();
                if (head.side() != PackedOrders.SELL || head.participant() >= netLots.length) revert BadOrder(sell);
                if (price < limits >> 192) revert PriceBeyondLimit(i, sell);
                if (amount < lots * ((limits >> 128) & type(uint64).max)) revert CashBeyondLimit(i, sell, amount);
                used.use(sell, lots, matchTime);
                netLots.add(head.participant(), -int256(lots));
                netCash.add(head.participant(), int256(amount));
            }
        }
        _settledFills[trancheToken][walk.bitmapWord] = walk.bitmap;
    }

    /// @dev Fill numbers ascend, so one word of bits is at hand at a time, and a number cannot come twice unseen.
    function _markFill(Walk memory walk, address trancheToken, uint256 i, PackedFill fill) private {
        unchecked {
            uint256 number = fill.number();
            if (number < walk.nextNumber) revert FillOutOfOrder(i, number);
            walk.nextNumber = number + 1;
            if (number >> 8 != walk.bitmapWord) _nextBitmap(walk, trancheToken, number >> 8);
            uint256 bitmap = walk.bitmap;
            uint256 marked = bitmap | (1 << (number & 0xff));
            if (marked == bitmap) revert FillAlreadySettled(i, number);
            walk.bitmap = marked;
        }
    }

    function _nextBitmap(Walk memory walk, address trancheToken, uint256 word) private {
        if (walk.bitmapWord != type(uint256).max) _settledFills[trancheToken][walk.bitmapWord] = walk.bitmap;
        walk.bitmapWord = word;
        walk.bitmap = _settledFills[trancheToken][word];
    }

    function _loadTerms(Walk memory walk, address trancheToken, uint256 i, uint256 termsId) private view {
        (uint256 tickValueE9, uint256 factorE9, uint256 accruedE9PerLot,) =
            ILockedDelivery(trancheToken).terms(uint16(termsId));
        if (tickValueE9 == 0) revert UnknownTerms(i, termsId);
        walk.termsId = termsId;
        walk.tickValueE18 = tickValueE9 * factorE9;
        walk.accruedE9PerLot = accruedE9PerLot;
    }

    /// @dev Each order signed by its account or a key of it, valid when it matched last, and within its quantity;
    ///      books what it used, in the order of the batch, so that versions of one key must ascend. `used` becomes
    ///      the struct hashes, whose hash is returned.
    function _useOrders(
        Batch calldata batch,
        address[] calldata accounts,
        bytes calldata orders,
        uint256[] memory used
    ) private returns (bytes32 ordersHash) {
        bytes32 separator = _domainSeparatorV4();
        OnceRun memory run;
        for (uint256 i = 0; i < used.length; ++i) {
            uint256 position = PackedOrders.positionOf(orders, i);
            uint256 head = position.head();
            address account = accounts[head.participant()];
            bytes32 structHash = position.structHash(account, batch.trancheToken, batch.cashToken);
            bytes32 digest = MessageHashUtils.toTypedDataHash(separator, structHash);
            _checkValidity(i, position, account, digest, used[i] >> 64);
            uint256 lots = used[i] & type(uint64).max;
            if (lots == 0) revert OrderUnused(i);
            if (head.kind() == PackedOrders.ONCE) {
                _useOnce(run, i, account, head.nonce(), head.quantityLots(), lots);
            } else if (head.kind() == PackedOrders.STANDING) {
                _useStanding(i, account, head.nonce(), head.version(), head.quantityLots(), lots, used[i] >> 64);
            } else {
                revert BadOrder(i);
            }
            used[i] = uint256(structHash);
        }
        _flush(run);
        assembly ("memory-safe") {
            ordersHash := keccak256(add(used, 0x20), shl(5, mload(used)))
        }
    }

    /// @dev The signature is of the account or of a key of it, and order and key are valid at the last match.
    function _checkValidity(uint256 i, uint256 position, address account, bytes32 digest, uint256 matchTime)
        private
        view
    {
        (bytes32 r, bytes32 vs) = position.signature();
        (address signer,,) = ECDSA.tryRecover(digest, r, vs);
        uint256 until = position.head().validUntil();
        if (signer != account) {
            uint256 keyUntil = signer == address(0) ? 0 : _keyValidUntil(account, signer);
            if (keyUntil == 0) revert BadSignature(i, account, signer);
            if (keyUntil < until) until = keyUntil;
        }
        if (matchTime > until) revert OrderNotValid(i, until, matchTime);
    }
}
