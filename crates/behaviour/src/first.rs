//! The first use of something, and the program that did it: its exec may be told later.

use std::sync::Arc;

use event::{TaskId, Text};

use crate::FirstUse;
use crate::images::Images;

#[derive(Clone, Debug)]
pub(crate) struct First {
    pub(crate) boot_ns: u64,
    pub(crate) task: TaskId,
    pub(crate) executable: Option<Arc<Text>>,
}

impl First {
    pub(crate) fn new(boot_ns: u64, task: &TaskId) -> First {
        First { boot_ns, task: task.clone(), executable: None }
    }

    /// Finds the executable while the images still know it.
    pub(crate) fn resolve(&mut self, images: &Images) {
        if self.executable.is_none() {
            self.executable = images.executable(self.task.image);
        }
    }

    pub(crate) fn freeze(&self, images: &Images) -> FirstUse {
        let executable = self.executable.clone().or_else(|| images.executable(self.task.image));
        FirstUse {
            boot_ns: self.boot_ns,
            image: self.task.image,
            comm: self.task.comm.clone(),
            executable: executable.map(|executable| (*executable).clone()).unwrap_or_default(),
        }
    }
}
