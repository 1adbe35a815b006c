"""Games: what is seen, what can be done, what goals are decided on. Every game keeps core's protocol."""
