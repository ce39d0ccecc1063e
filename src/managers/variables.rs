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
    "BUNDLE_GEMFILE",
    "CATALINA_OPTS",
    "CLASSPATH",
    "CLOUDSDK_PYTHON",
    "DOTNET_ADDITIONAL_DEPS",
    "DOTNET_STARTUP_HOOKS",
    "EDITOR",
    "ENV",
    "ERL_AFLAGS",
    "ERL_FLAGS",
    "ERL_ZFLAGS",
    "GCONV_PATH",
    "GIT_ASKPASS",
    "GIT_EDITOR",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_PAGER",
    "GIT_PROXY_COMMAND",
    "GIT_SEQUENCE_EDITOR",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_TEMPLATE_DIR",
    "GLIBC_TUNABLES",
    "GRADLE_OPTS",
    "GTK_MODULES",
    "IBM_JAVA_OPTIONS",
    "IFS",
    "JAVA_OPTS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LESSCLOSE",
    "LESSOPEN",
    "LUA_CPATH",
    "LUA_INIT",
    "LUA_PATH",
    "MANPAGER",
    "MAVEN_OPTS",
    "NODE_OPTIONS",
    "NODE_PATH",
    "OPENJ9_JAVA_OPTIONS",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "PAGER",
    "PATH",
    "PERL5DB",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "PROMPT_COMMAND",
    "PS4",
    "PYTHONBREAKPOINT",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONWARNINGS",
    "QT_PLUGIN_PATH",
    "RUBYLIB",
    "RUBYOPT",
    "R_ENVIRON",
    "R_ENVIRON_USER",
    "R_PROFILE",
    "R_PROFILE_USER",
    "SHELLOPTS",
    "VISUAL",
    "ZDOTDIR",
    "_JAVA_OPTIONS",
];

/// What the names of further ones begin with: those of the loaders of Linux and macOS, bash's functions, .NET's profiler and
/// Git's configuration.
const STARTUP_PREFIXES: &[&str] = &["LD_", "DYLD_", "BASH_FUNC_", "COR_", "CORECLR_", "GIT_CONFIG"];

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
