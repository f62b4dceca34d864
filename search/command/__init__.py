"""What a person types: one file for each verb of `convsearch`."""
