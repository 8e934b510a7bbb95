//! Rust, by cargo.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use cargo_metadata::{CrateType, Message, Metadata, MetadataCommand, Package, Target, TargetKind};

use crate::{BuildError, Built, Stop, lift::lift, tools};

/// Parts a flag from the next in `CARGO_ENCODED_RUSTFLAGS`, since paths may have blanks.
const PARTED: &str = "\x1f";

/// How a component comes out of this machine's compiler.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    /// The toolchain has the library for this target.
    Target(&'static str),
    /// Debian's compiler has no library for WebAssembly, but the source of one.
    Debian {
        /// Of LLVM's.
        linker: String,
    },
}

const TARGETS: [&str; 2] = ["wasm32-wasip2", "wasm32-wasip1"];
const DEBIAN: &str = "wasm32-wasip1";
const LIBC: &str = "/usr/lib/wasm32-wasi";

pub(crate) fn build(dir: &Path, extra: &[OsString], stop: &Stop) -> Result<Built, BuildError> {
    let route = route(dir)?;
    let cargo = route.cargo();
    let metadata = MetadataCommand::new()
        .cargo_path(&cargo)
        .manifest_path(dir.join("Cargo.toml"))
        .current_dir(dir)
        .other_options(reach(extra))
        .exec()
        .map_err(|error| BuildError::Project(error.to_string()))?;
    let package = package(&metadata, dir)?;
    let target = target(package)?;
    let mut command = Command::new(&cargo);
    command
        .current_dir(dir)
        .args(["build", "--release", "--target", route.target(), "--message-format=json-render-diagnostics"])
        .args(["--package", package.id.repr.as_str()])
        .args(route.unstable())
        .args(if is_library(target) { vec!["--lib"] } else { vec!["--bin", target.name.as_str()] })
        .args(extra)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&route, &metadata, target))
        .stdout(Stdio::piped());
    if let Route::Debian { linker } = &route {
        // The unstable `-Zbuild-std` is all there is to make a library from its source.
        command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
        command.env("CARGO_TARGET_WASM32_WASIP1_LINKER", linker);
    }
    let wasm = run(command, package, target, stop)?;
    let bytes = fs::read(&wasm).map_err(BuildError::io(format!("cannot read {}", wasm.display())))?;
    Ok(Built {
        name: package.name.to_string(),
        component: lift(&bytes)?,
        with: format!("Rust, cargo for {}", route.target()),
    })
}

/// What cargo may fetch counts whenever it is called.
fn reach(extra: &[OsString]) -> Vec<String> {
    let words = extra.iter().filter_map(|word| word.to_str());
    words.filter(|word| ["--locked", "--offline", "--frozen"].contains(word)).map(Into::into).collect()
}

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

impl Route {
    fn cargo(&self) -> PathBuf {
        match self {
            Self::Target(_) => "cargo".into(),
            Self::Debian { .. } => "/usr/bin/cargo".into(),
        }
    }

    fn target(&self) -> &'static str {
        match self {
            Self::Target(target) => target,
            Self::Debian { .. } => DEBIAN,
        }
    }

    fn unstable(&self) -> &'static [&'static str] {
        match self {
            Self::Target(_) => &[],
            Self::Debian { .. } => &["-Zbuild-std=std,panic_abort"],
        }
    }
}

/// The route that this machine has for a project.
fn route(dir: &Path) -> Result<Route, BuildError> {
    if tools::on_path("cargo").is_none() {
        return Err(BuildError::Missing {
            what: "cargo",
            install:
                "install Rust from your distribution or by rustup, then `rustup target add wasm32-wasip2`"
                    .into(),
        });
    }
    let has = |target: &&str| {
        // In the project, whose rust-toolchain.toml counts; and nothing is installed by asking.
        let mut rustc = Command::new("rustc");
        rustc.current_dir(dir).env("RUSTUP_AUTO_INSTALL", "0");
        let libraries = tools::asked(rustc.args(["--print", "target-libdir", "--target", target]));
        libraries.is_some_and(|libraries| Path::new(&libraries).is_dir())
    };
    if let Some(target) = TARGETS.into_iter().find(has) {
        return Ok(Route::Target(target));
    }
    debian().ok_or_else(|| BuildError::Missing {
        what: "Rust's target wasm32-wasip2",
        install: "`rustup target add wasm32-wasip2`; or, on Debian, `apt-get install --no-install-recommends rustc-web \
                  rust-web-src cargo-web lld-19 wasi-libc`"
            .into(),
    })
}

fn debian() -> Option<Route> {
    let sysroot = tools::asked(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"]))?;
    let parts = [
        Path::new(&sysroot).join("lib/rustlib/src/rust/library/std/Cargo.toml"),
        Path::new(LIBC).join("crt1-reactor.o"),
        PathBuf::from("/usr/bin/cargo"),
    ];
    let linker = (14..=30)
        .rev()
        .map(|version| format!("wasm-ld-{version}"))
        .find(|name| tools::on_path(name).is_some())?;
    parts.iter().all(|part| part.is_file()).then_some(Route::Debian { linker })
}

/// The package of the folder itself.
fn package<'a>(metadata: &'a Metadata, dir: &Path) -> Result<&'a Package, BuildError> {
    let manifest = dir.join("Cargo.toml");
    let members = metadata.workspace_packages();
    members.iter().copied().find(|package| package.manifest_path.as_std_path() == manifest).ok_or_else(|| {
        let folders: Vec<_> = members.iter().filter_map(|package| package.manifest_path.parent()).collect();
        let folders: Vec<_> = folders.iter().map(|folder| folder.as_str()).collect();
        BuildError::Project(format!(
            "{} is a workspace, not a package\n  hint: build one of its folders: {}",
            dir.display(),
            folders.join(", ")
        ))
    })
}

fn is_library(target: &Target) -> bool {
    target.crate_types.contains(&CrateType::CDyLib)
}

/// What becomes the component: the library, else the only program.
fn target(package: &Package) -> Result<&Target, BuildError> {
    if let Some(library) = package.targets.iter().find(|target| is_library(target)) {
        return Ok(library);
    }
    let mut programs = package.targets.iter().filter(|target| target.kind.contains(&TargetKind::Bin));
    match (programs.next(), programs.next()) {
        (Some(program), None) => Ok(program),
        (Some(_), Some(_)) => Err(BuildError::Project(format!(
            "the package `{}` has several programs, and a component is one\n  hint: give each a package of its own",
            package.name
        ))),
        (None, _) => Err(BuildError::Project(format!(
            "the package `{}` does not become a component\n  hint: write in its Cargo.toml:\n    [lib]\n    crate-type = [\"cdylib\"]",
            package.name
        ))),
    }
}

/// The flags for the compiler. They take the place of those in cargo's configuration, which are for the machine's own programs; what
/// the environment says is added.
fn flags(route: &Route, metadata: &Metadata, target: &Target) -> OsString {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    // What the compiler writes into panic messages must not tell about this machine.
    let mut flags: Vec<OsString> =
        vec![format!("--remap-path-prefix={}=/src", metadata.workspace_root).into()];
    // Where build scripts write source.
    flags.push(format!("--remap-path-prefix={}=/src/target", metadata.target_directory).into());
    // Dependencies that stand elsewhere on this machine.
    let outside = metadata.packages.iter().filter(|package| package.source.is_none());
    for (package, folder) in outside.filter_map(|package| Some((package, package.manifest_path.parent()?))) {
        if !folder.starts_with(&metadata.workspace_root) {
            flags.push(format!("--remap-path-prefix={folder}=/src/{}", package.name).into());
        }
    }
    if let Some(home) = home {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()).into());
    }
    if matches!(route, Route::Debian { .. }) {
        let sysroot =
            tools::asked(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"])).unwrap_or_default();
        flags.push(format!("--remap-path-prefix={sysroot}=/rust").into());
        flags.extend(["-Clink-self-contained=no", "-Clinker-flavor=wasm-ld"].map(Into::into));
        flags.push(format!("-Lnative={LIBC}").into());
        // As wasm32-wasip2 has it: constructors run once, when the component is instantiated.
        if is_library(target) {
            flags.push(format!("-Clink-arg={LIBC}/crt1-reactor.o").into());
            flags.push("-Clink-arg=--export=_initialize".into());
        } else {
            flags.push(format!("-Clink-arg={LIBC}/crt1-command.o").into());
        }
    }
    if llvm(route) >= Some(tools::INITIAL_HEAP_SINCE) {
        flags.push(format!("-Clink-arg={}", tools::INITIAL_HEAP).into());
    }
    if let Some(said) = env::var_os("CARGO_ENCODED_RUSTFLAGS") {
        flags.push(said);
    } else if let Ok(said) = env::var("RUSTFLAGS") {
        flags.extend(said.split_whitespace().map(Into::into));
    }
    flags.join(PARTED.as_ref())
}

/// The version of the linker's LLVM.
fn llvm(route: &Route) -> Option<u32> {
    match route {
        Route::Target(_) => {
            let said = tools::asked(Command::new("rustc").arg("-vV"))?;
            tools::first_number(said.lines().find_map(|line| line.strip_prefix("LLVM version:"))?)
        }
        Route::Debian { linker } => tools::first_number(linker),
    }
}

/// Run cargo, and find what it made.
fn run(mut command: Command, package: &Package, target: &Target, stop: &Stop) -> Result<PathBuf, BuildError> {
    let mut running = stop.start(&mut command)?;
    let tool = running.tool.clone();
    let said = running.child.stdout.take();
    let made = said.map(|said| made(BufReader::new(said), package, target)).transpose();
    // First of all whether it ended well.
    running.end()?;
    let made = made.map_err(BuildError::io(format!("cannot read {tool}")))?.flatten();
    let nothing = || BuildError::Component(format!("{tool} made no .wasm file of `{}`", target.name));
    made.ok_or_else(nothing)
}

/// The file that cargo says it made of a target.
fn made(said: impl BufRead, package: &Package, target: &Target) -> io::Result<Option<PathBuf>> {
    let mut made = None;
    for message in Message::parse_stream(said) {
        let Message::CompilerArtifact(artifact) = message? else { continue };
        if artifact.package_id == package.id && artifact.target.name == target.name {
            let wasm = artifact.filenames.into_iter().find(|file| file.extension() == Some("wasm"));
            made = wasm.or(made);
        }
    }
    Ok(made.map(PathBuf::from))
}
