"""What training leaves: checkpoints, exports, their check, tables and the manifest."""
