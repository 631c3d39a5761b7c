//! WeChat's time: system, or stepped by a test.
