//! What lies in a Mini Program repository: project.config.json, config.json, cloudbaserc.json, yunqiao.toml.
