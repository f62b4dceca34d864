"""One `convsearch run`: checks its options, creates, joins or resumes its study, and runs it through to the bundle."""
