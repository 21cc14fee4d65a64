// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IVault} from "./interfaces/IVault.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @title Cash of the participants: a ledger of entries per account and cash token
/// @notice Invariants.
///         1. For every cash token the vault's balance is at least the sum of its entries.
///         2. An entry falls only by its account's own withdrawal, or by a settlement of the DvP contract.
///         3. A withdrawal can be executed no sooner than `unbindDelay` after it was asked on chain, and only until
///            another `unbindDelay` later, so that nothing asked after a match can take the cash of its fill away,
///            and nothing asked early lies ready for long.
/// @dev Has no pause: what the DvP contract does not settle can always be withdrawn. Deployed by the DvP contract,
///      which is therefore its only settler for ever.
contract Vault is IVault, Ownable2Step, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    struct Withdrawal {
        uint128 amount;
        uint40 executableFrom;
        uint40 lapsesAt;
        address payout;
    }

    event CashTokenAllowed(address indexed cashToken, bool allowed);
    event Deposited(address indexed account, address indexed cashToken, uint256 amount);
    event EntriesMoved(address indexed cashToken, address[] accounts, int256[] deltas);
    event PayoutAddressRegistered(address indexed account, address indexed payout, bool registered);
    event WithdrawalRequested(
        address indexed account,
        address indexed cashToken,
        uint256 amount,
        address payout,
        uint40 executableFrom,
        uint40 lapsesAt
    );
    event WithdrawalCancelled(address indexed account, address indexed cashToken, uint256 amount);
    event Withdrawn(address indexed account, address indexed cashToken, uint256 amount, address payout);

    error NotTheDvP(address caller);
    error CashTokenNotAllowed(address cashToken);
    error NothingToMove();
    error ShortDeposit(uint256 expected, uint256 received);
    error InsufficientCash(address account, uint256 available, uint256 needed);
    error NotAPayoutAddress(address account, address payout);
    error NoWithdrawal(address account, address cashToken);
    error WithdrawalNotYet(uint40 executableFrom);
    error WithdrawalLapsed(uint40 lapsesAt);
    error DeltasNotBalanced(int256 sum);

    address public immutable dvp;
    uint40 public immutable unbindDelay;

    mapping(address cashToken => bool) public isAllowed;
    mapping(address cashToken => uint256) public totalEntries;
    mapping(address cashToken => mapping(address account => uint256)) private _entries;
    mapping(address account => mapping(address payout => bool)) public isPayoutAddress;
    mapping(address account => mapping(address cashToken => Withdrawal)) private _withdrawals;

    constructor(address initialOwner, uint40 unbindDelay_) Ownable(initialOwner) {
        dvp = msg.sender;
        unbindDelay = unbindDelay_;
    }

    /// @notice Puts a cash token on the list of those that can be deposited, or takes it off; entries already made
    ///         stay, settle and can be withdrawn. Owner only; CashTokenAllowed.
    function setCashTokenAllowed(address cashToken, bool allowed) external onlyOwner {
        isAllowed[cashToken] = allowed;
        emit CashTokenAllowed(cashToken, allowed);
    }

    /// @notice Takes `amount` of an allowed cash token from the caller and enters it. Deposited.
    /// @dev Refuses a token that reports success without moving the whole amount (false-returning, fee on transfer).
    function deposit(address cashToken, uint256 amount) external nonReentrant {
        if (!isAllowed[cashToken]) revert CashTokenNotAllowed(cashToken);
        if (amount == 0) revert NothingToMove();
        uint256 before = IERC20(cashToken).balanceOf(address(this));
        IERC20(cashToken).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(cashToken).balanceOf(address(this)) - before;
        if (received != amount) revert ShortDeposit(amount, received);
        _entries[cashToken][msg.sender] += amount;
        totalEntries[cashToken] += amount;
        emit Deposited(msg.sender, cashToken, amount);
    }

    /// @notice Names an address that the caller's withdrawals may be paid to, or strikes it. PayoutAddressRegistered.
    function registerPayoutAddress(address payout, bool registered) external {
        isPayoutAddress[msg.sender][payout] = registered;
        emit PayoutAddressRegistered(msg.sender, payout, registered);
    }

    /// @notice Asks for a withdrawal; replaces an earlier one of the same cash token, whose delay starts anew.
    ///         WithdrawalRequested.
    function requestWithdrawal(address cashToken, uint128 amount, address payout) external {
        if (amount == 0) revert NothingToMove();
        if (payout == address(0) || !isPayoutAddress[msg.sender][payout]) revert NotAPayoutAddress(msg.sender, payout);
        uint256 entry = _entries[cashToken][msg.sender];
        if (entry < amount) revert InsufficientCash(msg.sender, entry, amount);
        uint40 executableFrom = uint40(block.timestamp) + unbindDelay;
        uint40 lapsesAt = executableFrom + unbindDelay;
        _withdrawals[msg.sender][cashToken] = Withdrawal(amount, executableFrom, lapsesAt, payout);
        emit WithdrawalRequested(msg.sender, cashToken, amount, payout, executableFrom, lapsesAt);
    }

    /// @notice Takes the caller's request back. WithdrawalCancelled.
    function cancelWithdrawal(address cashToken) external {
        Withdrawal memory asked = _asked(cashToken);
        delete _withdrawals[msg.sender][cashToken];
        emit WithdrawalCancelled(msg.sender, cashToken, asked.amount);
    }

    /// @notice Pays the caller's request out, within its window. Withdrawn.
    function executeWithdrawal(address cashToken) external nonReentrant {
        Withdrawal memory asked = _asked(cashToken);
        if (block.timestamp < asked.executableFrom) revert WithdrawalNotYet(asked.executableFrom);
        if (block.timestamp > asked.lapsesAt) revert WithdrawalLapsed(asked.lapsesAt);
        if (!isPayoutAddress[msg.sender][asked.payout]) revert NotAPayoutAddress(msg.sender, asked.payout);
        delete _withdrawals[msg.sender][cashToken];
        _lower(cashToken, msg.sender, asked.amount);
        totalEntries[cashToken] -= asked.amount;
        emit Withdrawn(msg.sender, cashToken, asked.amount, asked.payout);
        IERC20(cashToken).safeTransfer(asked.payout, asked.amount);
    }

    /// @inheritdoc IVault
    function settle(address cashToken, address[] calldata accounts, int256[] calldata deltas) external {
        if (msg.sender != dvp) revert NotTheDvP(msg.sender);
        mapping(address account => uint256) storage entries = _entries[cashToken];
        int256 sum = 0;
        for (uint256 i = 0; i < accounts.length; ++i) {
            int256 delta = deltas[i];
            sum += delta;
            if (delta > 0) entries[accounts[i]] += uint256(delta);
            else if (delta < 0) _lower(cashToken, accounts[i], uint256(-delta));
        }
        if (sum != 0) revert DeltasNotBalanced(sum);
        emit EntriesMoved(cashToken, accounts, deltas);
    }

    /// @notice Cash of `account` in the vault, minor units.
    function entryOf(address cashToken, address account) external view returns (uint256) {
        return _entries[cashToken][account];
    }

    /// @notice What `account` has asked to withdraw; all zero where nothing is asked.
    function withdrawalOf(address cashToken, address account) external view returns (Withdrawal memory) {
        return _withdrawals[account][cashToken];
    }

    function _asked(address cashToken) private view returns (Withdrawal memory asked) {
        asked = _withdrawals[msg.sender][cashToken];
        if (asked.amount == 0) revert NoWithdrawal(msg.sender, cashToken);
    }

    function _lower(address cashToken, address account, uint256 amount) private {
        uint256 entry = _entries[cashToken][account];
        if (entry < amount) revert InsufficientCash(account, entry, amount);
        unchecked {
            _entries[cashToken][account] = entry - amount;
        }
    }
}
