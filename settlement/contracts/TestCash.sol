// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title TESTCASH: cash of development chains, pegged to nothing and redeemable nowhere
/// @notice Two decimals; the minor unit is the cent. Cannot be deployed off the development chains.
contract TestCash is ERC20, Ownable {
    error NotADevelopmentChain(uint256 chainId);

    constructor(address initialOwner) ERC20("TESTCASH", "TESTCASH") Ownable(initialOwner) {
        if (block.chainid != 31337 && block.chainid != 1337) revert NotADevelopmentChain(block.chainid);
    }

    /// @notice Owner only.
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }

    /// @inheritdoc ERC20
    function decimals() public pure override returns (uint8) {
        return 2;
    }
}
