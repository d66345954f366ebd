//! Every input has its right answer. Routes and parameters come from the served OpenAPI document, so that a
//! new parameter is tested from the day it is published.

mod api;
mod bodies;
mod boxes;
mod corpus;
mod everything;
mod parameters;
mod paths;
mod queries;
