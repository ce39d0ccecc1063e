//! Variables that change how the programs of a container start.

use serde_json::Value;

use crate::injection::{EnvValue, Injection};
use crate::json::{items_in, text_in};
use crate::managers::manager::{NotServed, not_found};
use crate::managers::placeholders::is_of_request;
use crate::options::Options;
use crate::requests::{Containers, SecretRequest};
use crate::sort::has;

/// The variables that a loader, a shell or a language's runtime takes code, options or places of code from, sorted.
#[rustfmt::skip]
const STARTUP: &[&str] = &[
    "BASHOPTS", "BASH_ENV", "BUNDLE_GEMFILE", "CATALINA_OPTS", "CLASSPATH", "CLOUDSDK_PYTHON", "DOTNET_ADDITIONAL_DEPS",
    "DOTNET_STARTUP_HOOKS", "EDITOR", "ENV", "ERL_AFLAGS", "ERL_FLAGS", "ERL_ZFLAGS", "GCONV_PATH", "GIT_ASKPASS",
    "GIT_EDITOR", "GIT_EXEC_PATH", "GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_PROXY_COMMAND", "GIT_SEQUENCE_EDITOR",
    "GIT_SSH", "GIT_SSH_COMMAND", "GIT_TEMPLATE_DIR", "GLIBC_TUNABLES", "GRADLE_OPTS", "GTK_MODULES",
    "IBM_JAVA_OPTIONS", "IFS", "JAVA_OPTS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "LESSCLOSE", "LESSOPEN",
    "LUA_CPATH", "LUA_INIT", "LUA_PATH", "MANPAGER", "MAVEN_OPTS", "NODE_OPTIONS", "NODE_PATH", "OPENJ9_JAVA_OPTIONS",
    "OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES", "PAGER", "PATH", "PERL5DB", "PERL5LIB", "PERL5OPT", "PERLLIB",
    "PHPRC", "PHP_INI_SCAN_DIR", "PROMPT_COMMAND", "PS4", "PYTHONBREAKPOINT", "PYTHONHOME", "PYTHONPATH",
    "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONWARNINGS", "QT_PLUGIN_PATH", "RUBYLIB", "RUBYOPT", "R_ENVIRON",
    "R_ENVIRON_USER", "R_PROFILE", "R_PROFILE_USER", "SHELLOPTS", "VISUAL", "ZDOTDIR", "_JAVA_OPTIONS",
];

/// What the names of further ones begin with: those of the loaders of Linux and macOS, bash's functions, .NET's profiler and
/// Git's configuration.
const STARTUP_PREFIXES: &[&str] = &["LD_", "DYLD_", "BASH_FUNC_", "COR_", "CORECLR_", "GIT_CONFIG"];

/// How long the longest of them is.
const LONGEST: usize = 22;

fn is_startup(name: &str) -> bool {
    // Comparing lengths and the first bytes alone is cheap, and mostly they differ.
    let begins = |prefix: &&str| prefix.as_bytes().first() == name.as_bytes().first() && name.starts_with(prefix);
    name.len() <= LONGEST && has(STARTUP, name) || STARTUP_PREFIXES.iter().any(begins)
}

/// Rejects an injection in which the request chooses a variable that changes how programs start, for containers that it does
/// not name: a Pod has containers that others have added, and whoever may ask for a secret need not be allowed to run code
/// in them.
///
/// # Errors
/// [`NotServed`] that names the variable and the way out.
pub(super) fn check(request: &SecretRequest, injection: &Injection<'_>, options: &Options) -> Result<(), NotServed> {
    if matches!(request.containers, Containers::Named(_)) {
        return Ok(());
    }
    let chosen = |name: &str, value: &EnvValue| {
        // An entry of a template has the name that the settings give it. Where they make it of the request, the template
        // calls check_name.
        !matches!(value, EnvValue::Template(_)) || name == request.env_var || is_default_name(name, request, options)
    };
    let startup = injection
        .env
        .iter()
        .find(|variable| is_startup(&variable.name) && chosen(&variable.name, &variable.value));
    match startup {
        None => Ok(()),
        Some(variable) => Err(refusal(&variable.name)),
    }
}

fn refusal(name: &str) -> NotServed {
    not_found!(
        "the variable {name:?} changes how programs start, so that it only goes into containers that the request names: list \
         them in the field containers of secret-injector/requests, or choose another name"
    )
}

/// Checks the name of a template's variable: `text` in the settings, `name` for the request.
pub(super) fn check_name(text: &str, name: &str, request: &SecretRequest) -> Result<(), NotServed> {
    if is_startup(name) && is_of_request(text) && !matches!(request.containers, Containers::Named(_)) {
        return Err(refusal(name));
    }
    Ok(())
}

/// Checks a name that whoever writes a Secret chooses, by a key: `begins` where only the beginning of the name is known.
///
/// # Errors
/// [`NotServed`] where it changes how programs start.
pub(super) fn check_key_name(name: &str, begins: bool) -> Result<(), NotServed> {
    if is_startup(name) || begins && begins_startup(name) {
        return Err(not_found!(
            "with all keys of the secret, a container would get a variable whose name is or begins with {name:?}, which changes \
             how programs start: ask for the keys one by one, or set envVar to another prefix"
        ));
    }
    Ok(())
}

fn begins_startup(prefix: &str) -> bool {
    let mut names = STARTUP.iter().chain(STARTUP_PREFIXES);
    is_startup(prefix) || !prefix.is_empty() && names.any(|name| name.starts_with(prefix))
}

/// Checks the variables of a template's init container: `template` in the settings, `container` for the request, which never
/// names this container.
///
/// # Errors
/// [`NotServed`] where the request chooses a name that changes how programs start, or the beginning of one.
pub(super) fn check_init_container(template: &Value, container: &Value) -> Result<(), NotServed> {
    let chosen = made_names(template, container, "env", "name").find(|name| is_startup(name));
    match chosen.or_else(|| made_names(template, container, "envFrom", "prefix").find(|prefix| begins_startup(prefix)))
    {
        None => Ok(()),
        Some(name) => Err(not_found!(
            "with this request, the settings' init container {:?} would get a variable whose name is or begins with {name:?}, \
             which changes how programs start: choose another name, or ask the cluster's operator to write the name of that \
             variable without placeholders of the request",
            text_in(container, "name")
        )),
    }
}

/// Returns the field `field` of the items of `list` where the request chooses it.
fn made_names<'v>(
    template: &'v Value,
    container: &'v Value,
    list: &'static str,
    field: &'static str,
) -> impl Iterator<Item = &'v str> {
    let texts = move |container: &'v Value| items_in(container, list).map(move |item| text_in(item, field));
    let pairs = texts(template).zip(texts(container));
    pairs.filter(|(text, _)| is_of_request(text)).map(|(_, name)| name)
}

/// Returns whether `name` is that of the variable that Flyte's clients look for.
fn is_default_name(name: &str, request: &SecretRequest, options: &Options) -> bool {
    let default = format!("{}{}_{}", options.env_prefix, request.group, request.key);
    name.eq_ignore_ascii_case(&default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_so_that_each_of_its_names_is_found() {
        assert!(STARTUP.is_sorted());
        assert_eq!(STARTUP.iter().map(|name| name.len()).max(), Some(LONGEST));
        for name in STARTUP.iter().chain(STARTUP_PREFIXES) {
            assert!(is_startup(name), "{name}");
        }
        assert!(!is_startup("_UNION_PATH") && !is_startup(""));
    }
}
