//! Each target is taken by who it is written for, or by its own checker.

mod checkers;
mod engines;
