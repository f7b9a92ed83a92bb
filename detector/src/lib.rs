//! The agent: what it sees, how it scores, what it does about it.
//!
//! Imports go one way: common, flow, features, model, verdict, response; sources know common and
//! flow; the agent knows all. The pure middle takes time and input as arguments.

pub mod agent;
pub mod alerts;
pub mod analysis;
pub mod api;
pub mod audit;
pub mod builtin_models;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod control;
pub mod decompress;
pub mod doctor;
pub mod features;
pub mod fields;
pub mod flow;
pub mod ingest;
pub mod instance;
pub mod ledger;
pub mod model;
pub mod network;
pub mod notify;
pub mod output;
pub mod pipeline;
pub mod refusal;
pub mod response;
pub mod site;
pub mod source;
pub mod state;
pub mod status;
pub mod store;
pub mod text;
pub mod timestamp;
pub mod units;
pub mod values;
pub mod verdict;
pub mod verify;
