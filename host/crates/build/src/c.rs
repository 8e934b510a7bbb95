//! C and C++, by clang.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use wit_bindgen_core::Files;
use wit_parser::Resolve;

use crate::{BuildError, Built, Language, Stop, contract, lift::lift, project::sources, tools};

/// Debian's C library for WebAssembly.
const DEBIAN: &str = "/usr/lib/wasm32-wasi/libc.a";
/// Bytes. The linker's own default is 64 KiB, where C has twice as much nearly everywhere else.
const STACK: u32 = 256 << 10;

/// Debian's library of C++, and where its headers begin.
const DEBIAN_CPP: [&str; 2] = ["/usr/lib/wasm32-wasi/libc++.a", "/usr/include/wasm32-wasi/c++/v1"];
/// Where the helper is in a project, with its own sources.
const HELPER: &str = "skillhost";
/// What is C++ by its name.
pub(crate) const CPP: [&str; 3] = ["cpp", "cc", "cxx"];

struct Compiler {
    program: PathBuf,
    /// What makes it compile for WASI.
    args: Vec<OsString>,
    told: String,
}

/// With `wit/` it exports what that says; with the helper it is a skill; otherwise it is a command with a `main`.
pub(crate) fn build(
    dir: &Path,
    language: Language,
    extra: &[OsString],
    stop: &Stop,
) -> Result<Built, BuildError> {
    let compiler = compiler(language)?;
    let work = tempfile::tempdir().map_err(BuildError::io("cannot make a temporary folder"))?;
    let (objects, wasm) = (work.path(), work.path().join("core.wasm"));
    let (wit, helper) = (dir.join("wit"), dir.join(HELPER));
    let mut own = sources(&[dir.to_owned(), dir.join("src")], &["c", CPP[0], CPP[1], CPP[2]])?;
    let bindings = if wit.is_dir() {
        Some(bindings(&wit, None, &dir.join("gen"))?)
    } else if helper.join("skillhost.h").is_file() {
        let wit = objects.join("wit");
        contract::write_world(&wit, ["tools", "undo"].into_iter())?;
        own.extend(sources(&[helper], &["c"])?);
        Some(bindings(&wit, Some(contract::WORLD), &objects.join("gen"))?)
    } else {
        None
    };
    let mut inputs = vec![];
    let generated = bindings.iter().map(|bindings| (&bindings.source, false));
    for (n, (source, ours)) in own.iter().map(|source| (source, true)).chain(generated).enumerate() {
        let object = objects.join(format!("{n}.o"));
        let cpp = source.extension().and_then(OsStr::to_str).is_some_and(|e| CPP.contains(&e));
        let mut command = compiler.command(dir, cpp);
        command.args(["-O2", "-c", "-ffunction-sections", "-fdata-sections"]);
        if cpp {
            // What one throws has nobody to catch it.
            command.args(["-std=c++20", "-fno-exceptions"]);
        }
        // Nobody mends what is generated.
        command.arg(if ours { "-Wall" } else { "-w" });
        // What `assert` and such say must not tell about this machine.
        command.arg(format!("-ffile-prefix-map={}=/src", dir.display()));
        for include in [&objects.join("gen"), &dir.join("gen"), &dir.join("include"), &dir.join("src"), dir] {
            command.arg("-I").arg(include);
        }
        // Which C++ it is says nothing to a compiler of C.
        let extra = extra.iter().filter(|arg| cpp || !arg.to_string_lossy().starts_with("-std=c++"));
        command.args(extra).arg(source).arg("-o").arg(&object);
        stop.run(&mut command)?;
        inputs.push(object);
    }
    inputs.extend(bindings.as_ref().map(|bindings| bindings.types.clone()));
    let mut command = compiler.command(dir, language == Language::Cpp);
    if bindings.is_some() {
        command.arg("-mexec-model=reactor");
    }
    // The stack first: one that is too deep traps, and overwrites nothing.
    command.args(["-Wl,--strip-all", "-Wl,--gc-sections", "-Wl,--stack-first"]);
    if compiler.llvm() >= Some(tools::INITIAL_HEAP_SINCE) {
        command.arg(format!("-Wl,{}", tools::INITIAL_HEAP));
    }
    command.arg(format!("-Wl,-z,stack-size={STACK}")).args(&inputs).arg("-o").arg(&wasm);
    stop.run(&mut command).map_err(|error| match (error, &bindings) {
        // What is missing most of the time; the linker calls it by the names of C.
        (BuildError::Tool { tool, how }, Some(Bindings { source, .. })) if wit.is_dir() => {
            BuildError::Linked { tool, how, header: source.with_extension("h") }
        }
        (error, _) => error,
    })?;
    let core = fs::read(&wasm).map_err(BuildError::io("cannot read what the linker made"))?;
    let with = format!("{language}, {}", compiler.told);
    Ok(Built { name: tools::folder_name(dir), component: lift(&core)?, with })
}

impl Compiler {
    /// The version of its LLVM.
    fn llvm(&self) -> Option<u32> {
        let said = tools::asked(Command::new(&self.program).arg("--version"))?;
        tools::first_number(said.split("clang version").nth(1)?)
    }

    fn command(&self, dir: &Path, cpp: bool) -> Command {
        let program = if cpp { plus_plus(&self.program) } else { self.program.clone() };
        let mut command = Command::new(program);
        command.current_dir(dir).args(&self.args);
        command
    }
}

/// The compiler of C++ beside that of C: clang++-19 beside clang-19.
fn plus_plus(clang: &Path) -> PathBuf {
    let name = clang.file_name().unwrap_or_default().to_string_lossy();
    clang.with_file_name(name.replacen("clang", "clang++", 1))
}

/// The compiler of this machine: that of the WASI SDK, where the environment names one, else a clang that has all of its parts.
fn compiler(language: Language) -> Result<Compiler, BuildError> {
    if let Some(sdk) = env::var_os("WASI_SDK_PATH") {
        let program = Path::new(&sdk).join("bin/clang");
        if program.is_file() {
            return Ok(Compiler {
                program,
                args: vec!["--target=wasm32-wasip1".into()],
                told: "clang of the WASI SDK".into(),
            });
        }
    }
    let cpp = language == Language::Cpp;
    let args = ["--target=wasm32-wasi", "--sysroot=/usr"];
    let names =
        ["clang".to_owned()].into_iter().chain((14..=30).rev().map(|version| format!("clang-{version}")));
    for program in names.filter_map(|name| tools::on_path(&name)) {
        let builtins = tools::asked(Command::new(&program).args(args).arg("-print-libgcc-file-name"));
        let whole = builtins.is_some_and(|file| Path::new(&file).is_file())
            && Path::new(DEBIAN).is_file()
            && (!cpp
                || plus_plus(&program).is_file() && DEBIAN_CPP.iter().all(|part| Path::new(part).exists()));
        if whole {
            let told = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(Compiler { program, args: args.map(Into::into).into(), told });
        }
    }
    let more = if cpp { " libc++-19-dev-wasm32 libc++abi-19-dev-wasm32" } else { "" };
    Err(BuildError::Missing {
        what: "a compiler for WebAssembly with its library",
        install: format!(
            "unpack the WASI SDK and say WASI_SDK_PATH; or, on Debian, `apt-get install --no-install-recommends clang-19 lld-19 \
             libclang-rt-19-dev-wasm32 wasi-libc{more}`"
        ),
    })
}

/// Files that bind C to WIT.
struct Bindings {
    source: PathBuf,
    /// An object with the types, for [`lift`].
    types: PathBuf,
}

/// Write the bindings of the world in `wit`, the only one where none is named, into `to`. Files that say the same already are left
/// alone.
fn bindings(wit: &Path, world: Option<&str>, to: &Path) -> Result<Bindings, BuildError> {
    let unsound =
        |error: anyhow::Error| BuildError::Wit { path: wit.to_owned(), problem: format!("{error:#}") };
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).map_err(unsound)?;
    let world = resolve.select_world(&[package], world).map_err(unsound)?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files).map_err(unsound)?;
    fs::create_dir_all(to).map_err(BuildError::io(format!("cannot make {}", to.display())))?;
    let mut bindings = Bindings { source: PathBuf::new(), types: PathBuf::new() };
    for (name, content) in files.iter() {
        let path = to.join(name);
        if fs::read(&path).ok().as_deref() != Some(content) {
            fs::write(&path, content).map_err(BuildError::io(format!("cannot write {}", path.display())))?;
        }
        match path.extension().and_then(OsStr::to_str) {
            Some("c") => bindings.source = path,
            Some("o") => bindings.types = path,
            _ => {}
        }
    }
    Ok(bindings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_are_written_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (wit, to) = (dir.path().join("wit"), dir.path().join("gen"));
        fs::create_dir(&wit).unwrap();
        let world = |text: &str| fs::write(wit.join("world.wit"), format!("package a:b;\n{text}")).unwrap();
        world("world shop { export add: func(a: string) -> u32; }");
        let made = bindings(&wit, None, &to).unwrap();
        assert_eq!((made.source.file_name(), made.types.is_file()), (Some(OsStr::new("shop.c")), true));
        let header = to.join("shop.h");
        assert!(fs::read_to_string(&header).unwrap().contains("exports_shop_add"));
        let written = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        let before = written(&header);
        bindings(&wit, None, &to).unwrap();
        assert_eq!(written(&header), before);
        for wrong in ["world", "world a {} world b {}", "world w { include no:such/thing; }", ""] {
            world(wrong);
            assert!(matches!(bindings(&wit, None, &to), Err(BuildError::Wit { .. })), "{wrong}");
        }
    }
}
