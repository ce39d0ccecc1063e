//! The documentation says what is so: settings against the module, commands by running them, links and names against the
//! files.

mod docs {
    pub mod commands;
    pub mod examples;
    pub mod generated;
    pub mod links;
    pub mod managers;
    pub mod markdown;
    pub mod messages;
    pub mod migration;
    pub mod settings;
}
