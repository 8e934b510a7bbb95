//! What the WIT of a project says of its functions goes into the component, which has no place for it but a custom section.

use std::{borrow::Cow, path::Path};

use wasm_encoder::{ComponentSection as _, CustomSection};
use wasmparser::{Parser, Payload};
use wit_parser::{PackageMetadata, Resolve};

use crate::BuildError;

/// Put the documentation in `wit/` of the project into its component, unless it has some.
pub(crate) fn keep(component: &mut Vec<u8>, dir: &Path) -> Result<(), BuildError> {
    let path = dir.join("wit");
    if !path.is_dir() || has_some(component) {
        return Ok(());
    }
    let mut resolve = Resolve::default();
    // A skill's WIT may lean on packages that only its own tools find; it was good enough for those.
    let Ok((package, _)) = resolve.push_dir(&path) else { return Ok(()) };
    let docs = PackageMetadata::extract(&resolve, package)
        .encode()
        .map_err(|error| BuildError::Wit { path, problem: format!("{error:#}") })?;
    // Without any, it would say nothing but its version.
    if docs.len() > b"\x01{}".len() {
        let name = Cow::Borrowed(PackageMetadata::SECTION_NAME);
        CustomSection { name, data: docs.into() }.append_to_component(component);
    }
    Ok(())
}

fn has_some(component: &[u8]) -> bool {
    let mut sections = Parser::new(0).parse_all(component);
    sections.any(|payload| matches!(payload, Ok(Payload::CustomSection(section)) if section.name() == PackageMetadata::SECTION_NAME))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn documentation_is_put_in_once() {
        let dir = tempfile::tempdir().unwrap();
        let empty = wat::parse_str("(component)").unwrap();
        let kept = |component: &[u8]| {
            let mut component = component.to_vec();
            keep(&mut component, dir.path()).unwrap();
            component
        };
        assert_eq!(kept(&empty), empty, "no WIT");
        fs::create_dir(dir.path().join("wit")).unwrap();
        fs::write(dir.path().join("wit/a.wit"), "package a:b; world w { export f: func(); }").unwrap();
        assert_eq!(kept(&empty), empty, "no documentation");
        fs::write(dir.path().join("wit/a.wit"), "package a:b; world w { /// Does.\n export f: func(); }")
            .unwrap();
        let with = kept(&empty);
        assert!(String::from_utf8_lossy(&with).contains("Does."));
        assert_eq!(kept(&with), with);
        fs::write(dir.path().join("wit/a.wit"), "package a:b; world w { include c:d/e; }").unwrap();
        assert_eq!(kept(&empty), empty, "a package that is not there");
    }
}
