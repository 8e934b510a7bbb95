//! A skill: every fixture of the official MCP conformance suite, `@modelcontextprotocol/conformance` 0.2.0-alpha.12.
//!
//! The suite calls tools, prompts and resources by names of its own, so mount this skill at the root. Nothing here is
//! special: the host knows none of these names. The operator must give it a deadline of more than 60 s: `slow_compute`
//! takes that long until it is cancelled.
//!
//! The first tool is one that needs no arguments and can do no harm: the suite calls whatever comes first.
mod ask;
mod completion;
mod media;
mod prompts;
mod resources;
mod tasks;
mod tools;

skillhost_sdk::skill!(
    tools: [
        tools::test_simple_text,
        tools::test_image_content,
        tools::test_audio_content,
        tools::test_embedded_resource,
        tools::test_multiple_content_types,
        tools::test_error_handling,
        tools::test_tool_with_progress,
        tools::test_tool_with_logging,
        tools::test_logging_tool,
        tools::test_reconnection,
        tools::test_custom_header,
        tools::json_schema_2020_12_tool,
        tools::test_missing_capability,
        tools::test_trigger_tool_change,
        tools::test_trigger_prompt_change,
        ask::test_sampling,
        ask::test_elicitation,
        ask::test_elicitation_sep1034_defaults,
        ask::test_elicitation_sep1330_enums,
        ask::test_streaming_elicitation,
        ask::test_input_required_result_elicitation,
        ask::test_input_required_result_sampling,
        ask::test_input_required_result_list_roots,
        ask::test_input_required_result_request_state,
        ask::test_input_required_result_multiple_inputs,
        ask::test_input_required_result_multi_round,
        ask::test_input_required_result_tampered_state,
        ask::test_input_required_result_capabilities,
        tasks::greet,
        tasks::slow_compute,
        tasks::failing_job,
        tasks::protocol_error_job,
        tasks::confirm_delete,
        tasks::multi_input,
        tasks::test_tool_with_task,
    ],
    prompts: [
        prompts::test_simple_prompt,
        prompts::test_prompt_with_arguments,
        prompts::test_prompt_with_embedded_resource,
        prompts::test_prompt_with_image,
        prompts::test_input_required_result_prompt,
    ],
    resources: [
        resources::static_text,
        resources::static_binary,
        resources::watched_resource,
        resources::template,
    ],
    completions: completion::complete,
);
