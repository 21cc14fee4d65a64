// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice Cash that, while it moves, has its own account call back into whoever moves it.
contract ReenteringCash is ERC20("RE", "RE") {
    address private _target;
    bytes private _attack;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function arm(address target, bytes calldata attack) external {
        (_target, _attack) = (target, attack);
    }

    /// @notice Lets this contract act in its own name, as the account of an attacker.
    function act(address target, bytes calldata data) external {
        _call(target, data);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (_target != address(0) && from != address(0)) _call(_target, _attack);
    }

    function _call(address target, bytes memory data) private {
        (bool done, bytes memory why) = target.call(data);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(why, 0x20), mload(why))
            }
        }
    }
}
