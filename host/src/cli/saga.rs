//! `skillhost saga`, `skillhost undo`

mod show;

use std::{process::ExitCode, sync::Arc};

use axum::http::Method;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use skillhost_core::SagaId;
use skillhost_telemetry::{Metrics, Telemetry};

use super::{FAILED, out};
use crate::{
    app::{App, Open, block_on, recovery},
    config::Settings,
    transport::admin::{Admin, Ask, Client},
};

const SAGAS: &str = "/admin/sagas";

#[derive(Debug, Args)]
#[command(after_help = "\
An ID is that of a saga, as `saga list` shows it, or of a single call, as its reply told it.
Where a host runs on the data folder it is asked; otherwise this process does the work itself.")]
pub(super) struct Saga {
    #[command(subcommand)]
    command: Command,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List sagas that agents hold, and calls that were taken back, newest first
    List {
        /// In one of these states: open, committed, expired, rolling-back, rolled-back, partial, stuck, abandoned
        #[arg(long, value_name = "STATE,…")]
        state: Option<String>,
        /// Only those that agents hold
        #[arg(long)]
        held: bool,
        /// Of this caller
        #[arg(long)]
        caller: Option<String>,
        /// At most this many, 1 to 1000
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
        /// After this id
        #[arg(long, value_name = "ID", value_parser = id)]
        after: Option<String>,
    },
    /// Show one with its steps, as a tree
    Show {
        #[arg(value_parser = id)]
        id: String,
    },
    /// Take a saga, or a call with what it made others do, back
    Rollback {
        #[arg(value_parser = id)]
        id: String,
    },
    /// Try again what is in conflict or stuck
    Resume {
        #[arg(value_parser = id)]
        id: String,
        /// Overwrite what has changed since
        #[arg(long)]
        force: bool,
    },
    /// Give up what is in conflict or stuck: you have looked after it
    Abandon {
        #[arg(value_parser = id)]
        id: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Takes back what the call did, with everything it made other tools do. A call whose effects were
changed since is left alone, unless forced.")]
pub(super) struct Undo {
    /// The call, as its reply told it
    #[arg(value_parser = id)]
    id: String,
    /// Overwrite what has changed since
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn id(text: &str) -> Result<String, &'static str> {
    text.parse::<SagaId>().map(|id| id.to_string())
}

impl Saga {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let Self { command, json } = self;
        block_on(async {
            match command {
                Command::List { state, held, caller, limit, after } => {
                    let mut query = vec![format!("limit={limit}")];
                    query.extend(held.then(|| "held=true".to_owned()));
                    for (key, value) in [("state", state), ("caller", caller), ("after", after)] {
                        query.extend(value.map(|value| format!("{key}={}", out::escaped(&value))));
                    }
                    let asking = Asking::look(settings, json).await?;
                    asking.print(asking.get(&format!("{SAGAS}?{}", query.join("&"))).await?, show::list)
                }
                Command::Show { id } => {
                    let asking = Asking::look(settings, json).await?;
                    asking.print(asking.get(&format!("{SAGAS}/{id}")).await?, show::tree)
                }
                Command::Rollback { id } => {
                    let asking = Asking::act(settings, json).await?;
                    asking.rolled(&format!("{SAGAS}/{id}/rollback"), json!({})).await
                }
                Command::Resume { id, force } => {
                    let asking = Asking::act(settings, json).await?;
                    asking.rolled(&format!("{SAGAS}/{id}/resume"), json!({"force": force})).await
                }
                Command::Abandon { id } => {
                    let asking = Asking::look(settings, json).await?;
                    let path = format!("{SAGAS}/{id}/abandon");
                    let shown = asking.client.ask(Method::POST, &path, Some(Ask::Json(json!({})))).await?;
                    asking.print(shown, show::tree)
                }
            }
        })
    }
}

impl Undo {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let Self { id, force, json } = self;
        block_on(async {
            let asking = Asking::act(settings, json).await?;
            asking.rolled(&format!("/admin/calls/{id}/undo"), json!({"force": force})).await
        })
    }
}

/// Somebody who answers.
struct Asking {
    client: Client,
    json: bool,
    /// What takes things back, where no host runs.
    app: std::sync::Mutex<Option<App>>,
}

impl Asking {
    /// To look at what there is: the journal alone will do.
    async fn look(settings: &Settings, json: bool) -> anyhow::Result<Self> {
        let alone = async || Ok(Admin::alone(&recovery(settings, Open::Now, &Metrics::default()).await?));
        let client = Client::find(&settings.data, alone).await?;
        Ok(Self { client, json, app: std::sync::Mutex::default() })
    }

    /// To take something back: where no host runs, this process runs the skills.
    async fn act(settings: &Settings, json: bool) -> anyhow::Result<Self> {
        let app = std::sync::Mutex::default();
        let alone = async || {
            let started = App::start(settings, Arc::new(Telemetry::silent()), Open::Now).await?;
            let admin = Admin::of(&started);
            *app.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(started);
            Ok(admin)
        };
        let client = Client::find(&settings.data, alone).await?;
        Ok(Self { client, json, app })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.client.ask(Method::GET, path, None).await
    }

    fn print(&self, value: Value, readable: impl FnOnce(&Value) -> String) -> anyhow::Result<ExitCode> {
        if self.json {
            out::json(&value)?;
        } else {
            out::text(&readable(&value))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn rolled(&self, path: &str, body: Value) -> anyhow::Result<ExitCode> {
        let report = self.client.ask(Method::POST, path, Some(Ask::Json(body))).await?;
        let state = report["state"].as_str().unwrap_or_default().to_owned();
        self.print(report, |report| {
            format!("{}\n", out::harmless(report["told"].as_str().unwrap_or_default()))
        })?;
        let app = self.app.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let (Some(app), "rolling-back") = (app, &*state) {
            // Nobody else would go on with it.
            out::note(
                "waiting for the end of the roll-back; it goes on with the next start if this is ended",
            );
            app.dispatcher.idle().await;
        }
        Ok(match &*state {
            "rolled-back" | "rolling-back" => ExitCode::SUCCESS,
            _ => ExitCode::from(FAILED),
        })
    }
}
