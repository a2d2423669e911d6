"""What a pull request to this repository changes for the stacks: checked, and told in a comment."""
