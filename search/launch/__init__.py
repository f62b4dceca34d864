"""One `convsearch run`: its options checked once, its study made, joined or resumed, and seen through to the bundle."""
