"""What `convsearch doctor` looks at: one file a matter."""
