"""What one study is, on disk and in memory: its folder, settings, record, objectives, repeats and result."""
