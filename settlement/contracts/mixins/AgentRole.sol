// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

/// @title Agents: who acts for the issuer (ERC-3643's AgentRole)
/// @notice The owner names agents; ownership itself moves in two steps.
abstract contract AgentRole is Ownable2Step {
    event AgentAdded(address indexed agent);
    event AgentRemoved(address indexed agent);

    error NotAnAgent(address caller);
    error NoAddress();

    mapping(address account => bool) private _agents;

    constructor(address initialOwner) Ownable(initialOwner) {}

    modifier onlyAgent() {
        if (!_agents[msg.sender]) revert NotAnAgent(msg.sender);
        _;
    }

    /// @notice Makes `agent` an agent. Owner only; AgentAdded.
    function addAgent(address agent) external onlyOwner {
        if (agent == address(0)) revert NoAddress();
        _agents[agent] = true;
        emit AgentAdded(agent);
    }

    /// @notice `agent` is an agent no longer. Owner only; AgentRemoved.
    function removeAgent(address agent) external onlyOwner {
        if (!_agents[agent]) revert NotAnAgent(agent);
        _agents[agent] = false;
        emit AgentRemoved(agent);
    }

    /// @notice Whether `agent` is an agent.
    function isAgent(address agent) external view returns (bool) {
        return _agents[agent];
    }
}
