//! Prompts and resources: none, unless its mode has some, and then one misdeed each.

use skillhost_sdk::{
    Context, Failure, InputRequired, Message, Prompt, PromptArgument, PromptMessages, PromptOutcome,
    ReadOutcome, ResourceInfo, ResourceTemplate,
    bindings::{
        prompts::exports::skillhost::skill::prompts, resources::exports::skillhost::skill::resources,
        skillhost::skill::secrets,
    },
    host,
    prelude::{Deserialize, JsonSchema, tool},
    types::{Ask, Question, ResourceBody, ResourceContents},
};

use crate::mode::mode;

/// What all of them do, by the word at the end of their names.
const DEEDS: [&str; 5] = ["plain", "trap", "leak", "fail", "ask"];
/// More than one page of a listing has.
const MANY: usize = 1_100;

fn done(deed: &str) -> Result<Result<String, InputRequired>, Failure> {
    match deed {
        "trap" => core::arch::wasm32::unreachable(),
        "leak" => {
            let secret = secrets::get("token").map_err(|error| Failure::permanent(format!("{error:?}")))?;
            Ok(Ok(format!("it is {secret}")))
        }
        "fail" => Err(Failure::permanent("it fails as it was asked to")),
        // Whatever the answer.
        "ask" => {
            let question = Question { key: "roots".into(), ask: Ask::Roots };
            Ok(Err(InputRequired { questions: vec![question], state: None }))
        }
        other => Ok(Ok(other.into())),
    }
}

struct Prompts;

impl prompts::Guest for Prompts {
    fn list() -> Vec<Prompt> {
        let argument = |name: &str| PromptArgument {
            name: name.into(),
            title: None,
            description: None,
            required: false,
        };
        let prompt = |name: &str| Prompt {
            name: name.into(),
            title: None,
            description: None,
            arguments: vec![argument("topic")],
            icons: None,
            meta: None,
        };
        match mode().as_str() {
            "features" => DEEDS.map(prompt).into(),
            "prompts-trap" => core::arch::wasm32::unreachable(),
            _ => vec![],
        }
    }

    fn get(_: Context, name: String, _: Vec<(String, String)>) -> Result<PromptOutcome, Failure> {
        Ok(match done(&name)? {
            Ok(text) => PromptOutcome::Messages(PromptMessages {
                description: Some(text.clone()),
                messages: vec![Message::user(text)],
                meta: None,
            }),
            Err(asked) => PromptOutcome::InputRequired(asked),
        })
    }
}

struct Resources;

impl resources::Guest for Resources {
    fn list() -> Vec<ResourceInfo> {
        let resource = |name: &str| ResourceInfo {
            uri: format!("faulty://{name}"),
            name: name.into(),
            title: None,
            description: None,
            mime_type: Some("text/plain".into()),
            size: None,
            annotations: None,
            icons: None,
            meta: None,
        };
        match mode().as_str() {
            "features" => DEEDS.map(resource).into(),
            "many-resources" => (0..MANY).map(|n| resource(&format!("{n:04}"))).collect(),
            "resources-trap" => core::arch::wasm32::unreachable(),
            _ => vec![],
        }
    }

    fn templates() -> Vec<ResourceTemplate> {
        let template = || ResourceTemplate {
            uri_template: "faulty://many/{n}".into(),
            name: "many".into(),
            title: None,
            description: None,
            mime_type: None,
            annotations: None,
            icons: None,
            meta: None,
        };
        match mode().as_str() {
            "features" => vec![template()],
            "templates-trap" => core::arch::wasm32::unreachable(),
            _ => vec![],
        }
    }

    fn read(_: Context, uri: String) -> Result<Option<ReadOutcome>, Failure> {
        let Some(name) = uri.strip_prefix("faulty://") else { return Ok(None) };
        Ok(Some(match done(name)? {
            Ok(text) => ReadOutcome::Contents(vec![ResourceContents {
                uri,
                mime_type: Some("text/plain".into()),
                body: ResourceBody::Text(text),
                meta: None,
            }]),
            Err(asked) => ReadOutcome::InputRequired(asked),
        }))
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Shout {
    /// `{n}` stands for the number of the shout.
    uri: String,
    times: usize,
}

/// Says that resources have changed; how often that was accepted, and what the last answer was.
#[tool]
pub(crate) fn shout(args: Shout) -> String {
    let told = |n: usize| host::resource_updated(&args.uri.replace("{n}", &n.to_string()));
    let all: Vec<_> = (0..args.times).map(told).collect();
    format!("{} {:?}", all.iter().filter(|told| told.is_ok()).count(), all.last())
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Changed {
    /// tools, prompts or resources.
    kind: String,
}

/// Says that what it offers has changed.
#[tool]
pub(crate) fn changed(args: Changed) -> String {
    let told = match args.kind.as_str() {
        "tools" => host::tools_changed(),
        "prompts" => host::prompts_changed(),
        _ => host::resources_changed(),
    };
    format!("{told:?}")
}

#[allow(unsafe_code, reason = "exports cross the component's boundary")]
const _: () = {
    skillhost_sdk::bindings::prompts::export!(Prompts with_types_in skillhost_sdk::bindings::prompts);
    skillhost_sdk::bindings::resources::export!(Resources with_types_in skillhost_sdk::bindings::resources);
};
