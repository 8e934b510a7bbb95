//! What a skill may touch, checked as far as it can be without looking at the machine.

use std::collections::BTreeMap;

use bytesize::ByteSize;
use skillhost_core::KeyValueBounds;
use skillhost_engine::{Access, EnvValue, FolderGrant, Grants, HttpRule, Method, SecretSource, ToolPattern};

use super::values::{bytes, within};
use crate::config::{ConfigError, raw};

const MAX: u64 = 1 << 30;

/// The grants under the key `table`.
pub(super) fn grants(table: &str, own: &raw::Grants) -> Result<Grants, ConfigError> {
    let key = |name: &str| format!("{table}.{name}");
    let digest = own.digest.as_deref().map(str::parse).transpose();
    let digest =
        digest.map_err(|expected| ConfigError::value(key("digest"), format!("is no digest: {expected}")))?;
    let http = own.http.iter().enumerate().map(|(n, rule)| http(&key(&format!("http[{n}]")), rule));
    let tools = own.tools.iter().enumerate().map(|(n, pattern)| {
        ToolPattern::new(pattern).map_err(|expected| {
            ConfigError::value(key(&format!("tools[{n}]")), format!("is `{pattern}`: {expected}"))
        })
    });
    let secrets: BTreeMap<_, _> = own
        .secrets
        .iter()
        .map(|(name, source)| Ok((name.clone(), secret(&key(&format!("secrets.{name}")), source)?)))
        .collect::<Result<_, ConfigError>>()?;
    let env = own
        .env
        .iter()
        .map(|(name, value)| Ok((name.clone(), env(&key(&format!("env.{name}")), name, value, &secrets)?)));
    Ok(Grants {
        digest,
        files: files(&key("files"), &own.files)?,
        http: http.collect::<Result<_, _>>()?,
        env: env.collect::<Result<_, _>>()?,
        config: own.config.clone(),
        secrets,
        keyvalue: keyvalue(&key("keyvalue"), own.keyvalue.as_ref())?,
        tools: tools.collect::<Result<_, _>>()?,
    })
}

fn files(key: &str, folders: &[raw::Folder]) -> Result<Vec<FolderGrant>, ConfigError> {
    let mut files: Vec<FolderGrant> = vec![];
    for (n, folder) in folders.iter().enumerate() {
        let wrong =
            |name: &str, problem: String| Err(ConfigError::value(format!("{key}[{n}].{name}"), problem));
        if folder.host.as_os_str().is_empty() {
            return wrong("host", "is empty; name a folder".into());
        }
        let guest = &folder.guest;
        let plain = guest == "/"
            || (guest.starts_with('/')
                && guest[1..].split('/').all(|part| !matches!(part, "" | "." | ".."))
                && !guest.contains(char::is_control));
        if !plain {
            return wrong(
                "guest",
                format!("is `{guest}`; write an absolute path such as `/data`, without `.` or `..`"),
            );
        }
        if files.iter().any(|other| other.guest == *guest) {
            return wrong("guest", format!("is `{guest}` like that of another folder"));
        }
        files.push(FolderGrant {
            host: folder.host.clone(),
            guest: guest.clone(),
            access: match folder.access {
                raw::Access::ReadOnly => Access::ReadOnly,
                raw::Access::ReadWrite => Access::ReadWrite,
            },
        });
    }
    Ok(files)
}

fn http(key: &str, raw: &raw::Http) -> Result<HttpRule, ConfigError> {
    let hosts = raw.host.parse().map_err(|expected| {
        ConfigError::value(format!("{key}.host"), format!("is `{}`: {expected}", raw.host))
    })?;
    let mut rule = HttpRule::new(hosts);
    if let Some(methods) = &raw.methods {
        let method = |text: &String| {
            // A method in small letters would be another method.
            Method::from_bytes(text.as_bytes())
                .ok()
                .filter(|_| !text.contains(char::is_lowercase))
                .ok_or_else(|| {
                    ConfigError::value(
                        format!("{key}.methods"),
                        format!("holds `{text}`; write a method such as GET"),
                    )
                })
        };
        rule.methods = methods.iter().map(method).collect::<Result<_, _>>()?;
    }
    let size = |name: &str, said: Option<ByteSize>, usual| {
        bytes(&format!("{key}.{name}"), said.or(Some(ByteSize(usual))), 0, MAX).map(|n| n as u64)
    };
    rule.max_request = size("max_request", raw.max_request, rule.max_request)?;
    rule.max_response = size("max_response", raw.max_response, rule.max_response)?;
    Ok(rule)
}

pub(super) fn secret(key: &str, source: &raw::Secret) -> Result<SecretSource, ConfigError> {
    match source {
        raw::Secret::Variable(variable) => Ok(SecretSource::Variable(variable_name(key, &variable.env)?)),
        raw::Secret::File(file) if file.file.as_os_str().is_empty() => {
            Err(ConfigError::value(format!("{key}.file"), "is empty; name a file"))
        }
        raw::Secret::File(file) => Ok(SecretSource::File(file.file.clone())),
    }
}

fn env(
    key: &str,
    name: &str,
    value: &raw::EnvValue,
    secrets: &BTreeMap<String, SecretSource>,
) -> Result<EnvValue, ConfigError> {
    variable_name(key, name)?;
    match value {
        raw::EnvValue::Literal(text) if text.contains('\0') => Err(ConfigError::value(key, "holds a NUL")),
        raw::EnvValue::Literal(text) => Ok(EnvValue::Literal(text.clone())),
        raw::EnvValue::Variable(variable) => Ok(EnvValue::Variable(variable_name(key, &variable.env)?)),
        raw::EnvValue::Secret(name) if secrets.contains_key(&name.secret) => {
            Ok(EnvValue::Secret(name.secret.clone()))
        }
        raw::EnvValue::Secret(name) => {
            let problem =
                format!("is the secret `{}`, which is not among the `secrets` of these grants", name.secret);
            Err(ConfigError::value(key, problem))
        }
    }
}

fn variable_name(key: &str, name: &str) -> Result<String, ConfigError> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(ConfigError::value(
            key,
            format!("holds `{name}`, which is no name of an environment variable"),
        ));
    }
    Ok(name.to_owned())
}

fn keyvalue(key: &str, raw: Option<&raw::KeyValueGrant>) -> Result<Option<KeyValueBounds>, ConfigError> {
    let usual = KeyValueBounds::default();
    match raw {
        None | Some(raw::KeyValueGrant::Switch(false)) => Ok(None),
        Some(raw::KeyValueGrant::Switch(true)) => Ok(Some(usual)),
        Some(raw::KeyValueGrant::Bounds(own)) => {
            let size = |name: &str, said: Option<ByteSize>, usual, min, max| {
                bytes(&format!("{key}.{name}"), said.or(Some(ByteSize(usual))), min, max).map(|n| n as u64)
            };
            Ok(Some(KeyValueBounds {
                total: size("total", own.total, usual.total, 1 << 10, 1 << 40)?,
                value: size("value", own.value, usual.value, 0, MAX)?,
                keys: within(&format!("{key}.keys"), own.keys.unwrap_or(usual.keys), 1, 1_000_000_000)?,
            }))
        }
    }
}
