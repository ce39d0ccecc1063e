//! Variables that change how the programs of a container start.

#![forbid(unsafe_code)]

use crate::injection::{EnvValue, Injection};
use crate::managers::manager::Miss;
use crate::options::Options;
use crate::requests::{Containers, SecretRequest};

/// The variables that a loader, a shell or a language's runtime takes code, options or places of code from.
const STARTUP: &[&str] = &[
    "BASHOPTS",
    "BASH_ENV",
    "CLASSPATH",
    "CORECLR_ENABLE_PROFILING",
    "CORECLR_PROFILER_PATH",
    "DOTNET_ADDITIONAL_DEPS",
    "DOTNET_STARTUP_HOOKS",
    "ENV",
    "GCONV_PATH",
    "GIT_EXEC_PATH",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GLIBC_TUNABLES",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LUA_CPATH",
    "LUA_INIT",
    "LUA_PATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "PATH",
    "PERL5DB",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "PROMPT_COMMAND",
    "PS4",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONWARNINGS",
    "RUBYLIB",
    "RUBYOPT",
    "SHELLOPTS",
    "_JAVA_OPTIONS",
];

/// What the names of further ones begin with: those of the loaders of Linux and macOS, and bash's functions.
const STARTUP_PREFIXES: &[&str] = &["LD_", "DYLD_", "BASH_FUNC_"];

fn is_startup(name: &str) -> bool {
    STARTUP.contains(&name) || STARTUP_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Passes an injection on, unless the request chooses a variable that changes how programs start, for containers that it
/// does not name: a Pod has containers that others have added, and whoever may ask for a secret need not be allowed to
/// run code in them.
///
/// # Errors
/// [`Miss::NotHere`] that names the variable and the way out.
pub fn check<'m>(request: &SecretRequest, injection: Injection<'m>, options: &Options) -> Result<Injection<'m>, Miss> {
    if matches!(request.containers, Containers::Named(_)) {
        return Ok(injection);
    }
    let chosen = |name: &str, value: &EnvValue| {
        // An entry of a template has the name that the settings give it, unless that is made of the request.
        !matches!(value, EnvValue::Template(_)) || name == request.env_var || is_default_name(name, request, options)
    };
    let startup = injection
        .env
        .iter()
        .find(|variable| is_startup(&variable.name) && chosen(&variable.name, &variable.value));
    match startup {
        None => Ok(injection),
        Some(variable) => Err(Miss::NotHere(format!(
            "the variable {:?} changes how programs start, so that it only goes into containers that the request names: list \
             them in the field containers of secret-injector/requests, or choose another name",
            variable.name
        ))),
    }
}

/// Returns whether `name` is that of the variable that Flyte's clients look for.
fn is_default_name(name: &str, request: &SecretRequest, options: &Options) -> bool {
    let default = format!("{}{}_{}", options.env_prefix, request.group, request.key);
    name.eq_ignore_ascii_case(&default)
}
