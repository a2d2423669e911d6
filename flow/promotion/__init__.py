"""Changes on their way from `development` to `staging` to `main`, by pull requests and releases."""
