//! `skillhost dlq`

mod show;

use std::{
    io::{BufRead as _, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use axum::http::Method;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use skillhost_core::CallId;
use skillhost_telemetry::Metrics;

use super::{call::parse, out};
use crate::{
    app::{Open, block_on, recovery},
    config::Settings,
    transport::admin::{Admin, Ask, Client, view},
};

const LETTERS: &str = "/admin/dead-letters";
/// Letters in one request: a bar moves with each.
const BATCH: u32 = 100;
/// Bytes of an archive in one request.
const CHUNK: usize = 4 << 20;

#[derive(Debug, Args)]
#[command(after_help = "\
Where a host runs on the data folder it is asked; otherwise its journal is, and letters that are
replayed run once a host is started.")]
pub(super) struct Dlq {
    #[command(subcommand)]
    command: Command,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List dead letters
    List {
        #[command(flatten)]
        which: Which,
        /// At most this many; 0 for all
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// After this id
        #[arg(long, value_name = "ID", value_parser = id)]
        after: Option<String>,
    },
    /// Show one, with its arguments and its life so far
    Show {
        #[arg(value_parser = id)]
        id: String,
    },
    /// Tell why one is there, and what can be done
    Explain {
        #[arg(value_parser = id)]
        id: String,
    },
    /// Change the arguments or the priority of one that waits or is parked
    Edit {
        #[arg(value_parser = id)]
        id: String,
        /// New arguments as a JSON object; `-` reads them from stdin. `[secret]` in the place of a secret keeps it
        #[arg(long, value_name = "JSON")]
        args: Option<String>,
        /// A new priority
        #[arg(long, value_parser = ["low", "normal", "high", "urgent"])]
        priority: Option<String>,
    },
    /// Run parked ones again, or waiting ones now
    Replay {
        #[command(flatten)]
        some: Chosen,
        /// Only with the version of the skill that failed
        #[arg(long)]
        pin: bool,
        /// At most this many a second, 0.001 to 1000
        #[arg(long, value_name = "N", value_parser = rate)]
        rate: Option<f64>,
    },
    /// Give up ones that wait or are parked
    Discard {
        #[command(flatten)]
        some: Chosen,
    },
    /// Move ones that ended, or are parked, to the archive in the data folder
    Archive {
        #[command(flatten)]
        some: Chosen,
    },
    /// Put ones back from an archive; what was to be run comes back parked
    Restore {
        /// A file of JSON lines; `-` reads stdin
        file: PathBuf,
    },
    /// Count them
    Stats,
}

/// Which letters.
#[derive(Debug, Clone, Default, Args)]
struct Which {
    /// In one of these states: waiting, leased, parked, rolling-back, recovered, failed, unknown, discarded
    #[arg(long, value_name = "STATE,…")]
    state: Option<String>,
    /// Of this skill
    #[arg(long)]
    skill: Option<String>,
    /// Of this tool, by its full name
    #[arg(long)]
    tool: Option<String>,
    /// Whose last failure is of this kind, such as timeout
    #[arg(long)]
    kind: Option<String>,
    /// Of this caller
    #[arg(long)]
    caller: Option<String>,
    /// With this priority
    #[arg(long = "with-priority", value_name = "PRIORITY")]
    priority: Option<String>,
    /// Whose last failure's message holds this text
    #[arg(long)]
    text: Option<String>,
    /// That have been letters for longer than this, such as 7d
    #[arg(long, value_name = "TIME")]
    older_than: Option<String>,
    /// That have been letters for less than this
    #[arg(long, value_name = "TIME")]
    newer_than: Option<String>,
}

/// Letters to do something with.
#[derive(Debug, Args)]
struct Chosen {
    /// These
    #[arg(value_name = "ID", value_parser = id, required_unless_present = "all")]
    ids: Vec<String>,
    /// All that the filter lets through
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    which: Which,
    /// Only say which
    #[arg(long)]
    dry_run: bool,
}

/// As it is shown everywhere.
fn id(text: &str) -> Result<String, &'static str> {
    text.parse::<CallId>().map(|id| id.to_string())
}

fn rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1_000.0).contains(rate));
    rate.ok_or("it must be a number from 0.001 to 1000")
}

impl From<&Which> for view::Which {
    fn from(which: &Which) -> Self {
        let Which { state, skill, tool, kind, caller, priority, text, older_than, newer_than } =
            which.clone();
        Self { state, skill, tool, kind, caller, priority, text, older_than, newer_than }
    }
}

impl Dlq {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        block_on(async {
            let alone = async || {
                let recovery = recovery(settings, Open::Now, &Metrics::default()).await?;
                Ok(Admin::alone(&recovery))
            };
            let client = Client::find(&settings.data, alone).await?;
            let cli = Cli { client, json: self.json };
            cli.run(self.command).await
        })
    }
}

struct Cli {
    client: Client,
    json: bool,
}

impl Cli {
    async fn run(&self, command: Command) -> anyhow::Result<ExitCode> {
        match command {
            Command::List { which, limit, after } => self.list(&which, limit, after).await?,
            Command::Show { id } => self.print(self.get(&format!("{LETTERS}/{id}")).await?, show::whole)?,
            Command::Explain { id } => {
                self.print(self.get(&format!("{LETTERS}/{id}/explain")).await?, show::explained)?;
            }
            Command::Stats => self.print(self.get(&format!("{LETTERS}/stats")).await?, show::stats)?,
            Command::Edit { id, args, priority } => {
                let arguments = args.as_deref().map(parse).transpose()?;
                let body = view::EditBody { arguments, priority };
                let body = Some(Ask::Json(serde_json::to_value(body)?));
                let changed = self.client.ask(Method::PATCH, &format!("{LETTERS}/{id}"), body).await?;
                self.print(changed, show::whole)?;
            }
            Command::Replay { some, pin, rate } => {
                let many = view::Many { pin, rate, ..view::Many::default() };
                let dry_run = some.dry_run;
                let code = self.many("replay", "replayed", some, many).await?;
                if !self.client.runs() && !dry_run {
                    out::note("no host answers on this data folder: letters run once one does");
                }
                return Ok(code);
            }
            Command::Discard { some } => {
                return self.many("discard", "discarded", some, view::Many::default()).await;
            }
            Command::Archive { some } => {
                return self.many("archive", "archived", some, view::Many::default()).await;
            }
            Command::Restore { file } => return self.restore(&file).await,
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.client.ask(Method::GET, path, None).await
    }

    fn print(&self, value: Value, readable: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
        if self.json { out::json(&value) } else { out::text(&readable(&value)) }
    }

    async fn list(&self, which: &Which, limit: u32, mut after: Option<String>) -> anyhow::Result<()> {
        let filter: Map<String, Value> = match serde_json::to_value(view::Which::from(which))? {
            Value::Object(filter) => filter,
            _ => Map::new(),
        };
        let (mut letters, mut damaged) = (vec![], vec![]);
        let mut left = if limit == 0 { u32::MAX } else { limit };
        loop {
            let mut query: Vec<String> = filter
                .iter()
                .filter_map(|(key, value)| Some(format!("{key}={}", out::escaped(value.as_str()?))))
                .collect();
            query.push(format!("limit={}", left.min(1_000)));
            query.extend(after.as_ref().map(|after| format!("after={}", out::escaped(after))));
            let page = self.get(&format!("{LETTERS}?{}", query.join("&"))).await?;
            let found = page["letters"].as_array().cloned().unwrap_or_default();
            left = left.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
            letters.extend(found);
            damaged.extend(page["damaged"].as_array().cloned().unwrap_or_default());
            after = page["next"].as_str().map(ToOwned::to_owned);
            if after.is_none() || left == 0 {
                break;
            }
        }
        let all = json!({"letters": letters, "next": after, "damaged": damaged});
        self.print(all, show::list)
    }

    /// In batches, with a bar where somebody looks on.
    async fn many(
        &self,
        what: &str,
        done_word: &str,
        some: Chosen,
        many: view::Many,
    ) -> anyhow::Result<ExitCode> {
        let Chosen { ids, all, which, dry_run } = some;
        let filter = view::Which::from(&which);
        let (mut matched, mut refused) = (vec![], vec![]);
        let (mut changed, mut file) = (0, Value::Null);
        let bar = self.bar(what, if all { None } else { Some(ids.len() as u64) });
        let mut after = None;
        let mut batches = ids.chunks(BATCH as usize);
        loop {
            let batch = batches.next().unwrap_or_default();
            if !all && batch.is_empty() {
                break;
            }
            let part = view::Part { after: after.clone(), limit: Some(if all { BATCH } else { 1_000 }) };
            let body = view::Many {
                ids: (!all).then(|| batch.to_vec()),
                all,
                filter: filter.clone(),
                part,
                dry_run,
                offset: changed,
                ..many.clone()
            };
            let body = Some(Ask::Json(serde_json::to_value(&body)?));
            let answer = self.client.ask(Method::POST, &format!("{LETTERS}/{what}"), body).await;
            let done: view::Done =
                serde_json::from_value(answer?).context("the host answers something else")?;
            let known = |id: &String| done.matched.contains(id);
            let missing = batch.iter().filter(|id| !known(id));
            refused.extend(missing.map(
                |id| json!({"id": id, "why": "there is no such dead letter, or the filter leaves it out"}),
            ));
            refused.extend(done.refused.iter().map(|refused| json!(refused)));
            changed += done.changed;
            bar.inc(if all { done.matched.len() } else { batch.len() } as u64);
            matched.extend(done.matched);
            if let Some(path) = done.file {
                file = path.into();
            }
            after = done.next;
            if all && after.is_none() {
                break;
            }
        }
        bar.finish_and_clear();
        let failed = !refused.is_empty() && !all;
        let value = json!({
            "matched": matched, "changed": changed, "refused": refused, "file": file, "dry_run": dry_run,
        });
        self.print(value, |value| show::done(value, done_word))?;
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    async fn restore(&self, file: &PathBuf) -> anyhow::Result<ExitCode> {
        let lines: Box<dyn std::io::BufRead> = if file.as_os_str() == "-" {
            Box::new(std::io::stdin().lock())
        } else {
            let opened =
                std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
            Box::new(std::io::BufReader::new(opened))
        };
        let bar = self.bar("restore", None);
        let (mut restored, mut present, mut refused) = (0, 0, vec![]);
        let (mut chunk, mut first, mut read) = (String::new(), 1_u64, 0_u64);
        let mut lines = lines.lines();
        loop {
            let line = lines.next().transpose().with_context(|| format!("cannot read {}", file.display()))?;
            let ended = line.is_none();
            if let Some(line) = line {
                read += 1;
                chunk.push_str(&line);
                chunk.push('\n');
            }
            if (ended || chunk.len() > CHUNK) && !chunk.is_empty() {
                let body = Some(Ask::Lines(std::mem::take(&mut chunk)));
                let done = self.client.ask(Method::POST, &format!("{LETTERS}/restore"), body).await?;
                restored += done["restored"].as_u64().unwrap_or_default();
                present += done["present"].as_u64().unwrap_or_default();
                for line in done["refused"].as_array().into_iter().flatten() {
                    let n = line[0].as_u64().unwrap_or_default() + first - 1;
                    refused.push(json!({"line": n, "why": line[1]}));
                }
                bar.inc(read);
                first += read;
                read = 0;
            }
            if ended {
                break;
            }
        }
        bar.finish_and_clear();
        let failed = !refused.is_empty();
        let value = json!({"restored": restored, "present": present, "refused": refused});
        self.print(value, show::restored)?;
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn bar(&self, what: &str, of: Option<u64>) -> ProgressBar {
        if self.json || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let template = match of {
            Some(_) => "{msg} {wide_bar} {pos}/{len} {eta}",
            None => "{msg} {spinner} {pos} {per_sec}",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(of.unwrap_or_default()).with_style(style).with_message(what.to_owned())
    }
}
